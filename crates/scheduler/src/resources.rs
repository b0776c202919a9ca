//! Amounts of what nodes have and pods ask for.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use meta::Quantity;
use std::collections::BTreeMap;

/// CPU in thousandths of a core, everything else in bytes or pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    pub cpu: i64,
    pub memory: i64,
    pub ephemeral: i64,
    /// Extended resources and huge pages, sorted by name.
    pub extended: Vec<(Box<str>, i64)>,
}

impl Resources {
    pub fn of(written: &BTreeMap<String, Written>) -> Self {
        let mut out = Self::default();
        for (name, quantity) in written {
            // Quantities were validated when the object was written.
            let Ok(amount) = Quantity::parse(&quantity.0) else { continue };
            match name.as_str() {
                "cpu" => out.cpu = amount.milli_value(),
                "memory" => out.memory = amount.value(),
                "ephemeral-storage" => out.ephemeral = amount.value(),
                "pods" => {}
                _ => out.set(name, amount.value()),
            }
        }
        out
    }

    pub fn requests(of: Option<&ResourceRequirements>) -> Self {
        of.and_then(|r| r.requests.as_ref()).map(Self::of).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> i64 {
        let found = self.extended.binary_search_by(|(n, _)| (**n).cmp(name));
        found.map_or(0, |at| self.extended[at].1)
    }

    fn set(&mut self, name: &str, amount: i64) {
        match self.extended.binary_search_by(|(n, _)| (**n).cmp(name)) {
            Ok(at) => self.extended[at].1 = amount,
            Err(at) => self.extended.insert(at, (name.into(), amount)),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.ephemeral += other.ephemeral;
        for (name, amount) in &other.extended {
            self.set(name, self.get(name) + amount);
        }
    }

    pub fn sub(&mut self, other: &Self) {
        self.cpu -= other.cpu;
        self.memory -= other.memory;
        self.ephemeral -= other.ephemeral;
        for (name, amount) in &other.extended {
            self.set(name, self.get(name) - amount);
        }
    }

    /// The larger of each amount.
    pub fn max(&mut self, other: &Self) {
        self.cpu = self.cpu.max(other.cpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral = self.ephemeral.max(other.ephemeral);
        for (name, amount) in &other.extended {
            self.set(name, self.get(name).max(*amount));
        }
    }
}
