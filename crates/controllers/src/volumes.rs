//! PersistentVolumes and the claims on them: binding, releasing, protecting
//! (pkg/controller/volume/persistentvolume, pvcprotection, pvprotection, ephemeral).

pub(crate) mod bind;
pub(crate) mod ephemeral;
mod fit;
pub(crate) mod protect;
pub(crate) mod release;
