//! placeholder
use crate::{RegistriesConfig, Result};
pub(crate) struct Client(#[allow(dead_code)] RegistriesConfig);
impl Client {
    pub fn new(config: RegistriesConfig) -> Result<Self> {
        Ok(Self(config))
    }
}
