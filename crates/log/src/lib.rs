//! The durable log under the store.
