//! What was computed from an object's bytes and may be wanted again: its typed form, its protobuf form.
//!
//! It is a memo, never a source: whatever is dropped is computed again. All objects of the process together keep
//! no more than [`KEPT`] bytes of it, or ten thousand objects read once by some controller would be held parsed,
//! at ten times the memory, for as long as they live.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Bytes, as those who keep something estimate them.
const KEPT: usize = 24 << 20;

/// The derived forms of one object; nothing is allocated until there is one.
#[derive(Default)]
pub(crate) struct Derived(OnceLock<Arc<Shelf>>);

#[derive(Default)]
struct Shelf {
    forms: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
    weight: AtomicUsize,
    /// Asked for since the last sweep came by.
    used: AtomicBool,
}

impl Derived {
    /// The form of type `T`, when it is still kept.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let shelf = self.0.get()?;
        let forms = lock(&shelf.forms);
        let found = forms.iter().find_map(|form| form.clone().downcast::<T>().ok());
        if found.is_some() {
            shelf.used.store(true, Ordering::Relaxed);
        }
        found
    }

    /// Keeps a form of about `weight` bytes for a while.
    pub fn keep<T: Send + Sync + 'static>(&self, form: Arc<T>, weight: usize) {
        let shelf = self.0.get_or_init(Arc::default);
        let mut forms = lock(&shelf.forms);
        if forms.iter().any(|form| (**form).is::<T>()) {
            return;
        }
        forms.push(form);
        drop(forms);
        shelf.weight.fetch_add(weight, Ordering::Relaxed);
        sweep(shelf, weight);
    }
}

impl Shelf {
    /// Gives its forms up.
    fn clear(&self) {
        let forms = std::mem::take(&mut *lock(&self.forms));
        WEIGHT.fetch_sub(self.weight.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        drop(forms);
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Of all shelves together.
static WEIGHT: AtomicUsize = AtomicUsize::new(0);
/// Shelves in the order in which something was put on them.
static SHELVES: Mutex<Shelves> = Mutex::new(Shelves { ring: VecDeque::new(), sweep_at: 4096 });

struct Shelves {
    ring: VecDeque<Weak<Shelf>>,
    sweep_at: usize,
}

/// Notes `shelf` and clears the oldest ones that nobody used since they were last looked at, until the rest is
/// light enough (the clock algorithm).
fn sweep(shelf: &Arc<Shelf>, more: usize) {
    let mut heavy = WEIGHT.fetch_add(more, Ordering::Relaxed) + more > KEPT;
    let mut shelves = lock(&SHELVES);
    shelves.ring.push_back(Arc::downgrade(shelf));
    let mut cleared = Vec::new();
    for _ in 0..2 * shelves.ring.len() {
        if !heavy {
            break;
        }
        let Some(oldest) = shelves.ring.pop_front() else { break };
        let Some(shelf) = oldest.upgrade() else { continue };
        if shelf.used.swap(false, Ordering::Relaxed) {
            shelves.ring.push_back(oldest);
        } else {
            shelf.clear();
            heavy = WEIGHT.load(Ordering::Relaxed) > KEPT;
            cleared.push(shelf);
        }
    }
    if shelves.ring.len() > shelves.sweep_at {
        shelves.ring.retain(|shelf| shelf.strong_count() > 0);
        shelves.sweep_at = (2 * shelves.ring.len()).max(4096);
    }
    // A shelf that dies here must not find the ring locked.
    drop(shelves);
    drop(cleared);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A memo is whole after any panic: what is pushed is made before the lock is taken.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_found_by_type_and_bounded_together() {
        let all: Vec<Derived> = (0..200).map(|_| Derived::default()).collect();
        for (i, derived) in all.iter().enumerate() {
            derived.keep(Arc::new(i), KEPT / 100);
            derived.keep(Arc::new(i.to_string()), 0);
        }
        let kept = all.iter().filter(|derived| derived.get::<usize>().is_some()).count();
        assert!((1..=100).contains(&kept), "{kept} are kept");
        assert_eq!(all[199].get::<usize>().as_deref(), Some(&199));
        assert_eq!(all[199].get::<String>().as_deref(), Some(&"199".to_string()));
        assert!(all[0].get::<String>().is_none(), "forms of one object go together");
    }
}
