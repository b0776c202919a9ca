//! One fetch per blob and one unpacking per layer, however many ask at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

#[derive(Default)]
pub(crate) struct Flights(Mutex<BTreeMap<String, Weak<AsyncMutex<()>>>>);

impl Flights {
    /// Waits until nobody else works on `key`.
    pub async fn enter(&self, key: &str) -> OwnedMutexGuard<()> {
        self.lock(key).lock_owned().await
    }

    fn lock(&self, key: &str) -> Arc<AsyncMutex<()>> {
        let mut known = self.0.lock().expect("no panic while held");
        known.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = known.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(AsyncMutex::new(()));
        known.insert(key.into(), Arc::downgrade(&lock));
        lock
    }
}
