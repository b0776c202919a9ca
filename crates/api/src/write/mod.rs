//! Writes: from a decoded request to a transaction, and from its receipt to an answer.

mod create;
mod delete;
mod metadata;
mod patch;
mod scale;
mod subresource;
mod update;

pub use create::create;
pub use delete::{DeleteRequest, delete, delete_collection};
pub use patch::{patch, warned};
pub use subresource::act;
pub use update::{get_part, update};

use crate::answer::{Answer, Body, Page};
use crate::catalog::{Action, Catalog, Served, Sub};
use crate::object;
use crate::request::Env;
use kinds::{ADMISSION, Admit, Also, AlsoChange, Authorizer, Extras, Operation, Tokens};
use meta::{Details, Fault, Problem, Reason, Value};
use std::sync::Arc;
use store::{Draft, Expect, Key, Object, Op, Receipt, Reject, Txn, View};

/// Everything a write is decided from.
pub struct Ctx<'a> {
    pub catalog: &'a Catalog,
    pub authorizer: &'a dyn Authorizer,
    pub tokens: &'a dyn Tokens,
    pub served: &'a Arc<Served>,
    pub sub: Option<&'a Sub>,
    pub namespace: &'a str,
    pub name: &'a str,
    pub options: &'a WriteOptions,
    pub env: &'a Env<'a>,
    pub view: &'a View,
}

/// `metav1.CreateOptions` and its relatives.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    pub dry_run: bool,
    /// Never empty when it reaches a write.
    pub manager: String,
    pub validation: Validation,
}

/// `fieldValidation`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// What a write came to.
pub enum Step {
    Done(Answer),
    Commit(Txn, Then),
}

/// How the answer is made once the store has committed.
pub struct Then {
    pub served: Arc<Served>,
    /// The operation of the transaction whose object is the answer.
    pub at: usize,
    pub code: u16,
    pub say: Say,
    pub rejected: Rejected,
    pub name: String,
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "then {} {}", self.code, self.name)
    }
}

pub enum Say {
    Object,
    /// `Status` Success.
    Gone(Box<Details>),
    Scale(Action),
    Value(Value),
    /// A deletecollection: the list of what was there.
    Page(Page),
}

/// What a refused transaction means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The client did not pin a version: plan again.
    Retry,
    /// The client pinned a version, or the name is taken.
    Tell,
}

/// After the store answered.
pub enum Settled {
    Answer(Answer),
    Problem(Problem),
    Retry,
}

impl Then {
    pub fn settle(self, result: Result<Receipt, Reject>) -> Settled {
        match result {
            Ok(receipt) => match receipt.objects.get(self.at).cloned().flatten() {
                Some(object) => Settled::Answer(self.answer(object)),
                None => Settled::Answer(self.answer_without()),
            },
            Err(reject) => self.refused(reject),
        }
    }

    fn answer(self, object: Arc<Object>) -> Answer {
        let body = match self.say {
            Say::Object => Body::Stored(object),
            Say::Gone(details) => Body::Success(details),
            Say::Scale(action) => Body::Value(scale::of(
                &self.served,
                &action,
                &object::from_stored(&self.served, &object),
            )),
            Say::Value(value) => Body::Value(value),
            Say::Page(page) => Body::Page(page),
        };
        Answer { code: self.code, body, warnings: self.warnings }
    }

    fn answer_without(self) -> Answer {
        let body = match self.say {
            Say::Value(value) => Body::Value(value),
            Say::Page(page) => Body::Page(page),
            Say::Gone(details) => Body::Success(details),
            Say::Object | Say::Scale(_) => Body::Success(Box::default()),
        };
        Answer { code: self.code, body, warnings: self.warnings }
    }

    fn refused(self, reject: Reject) -> Settled {
        let resource = &self.served.resource;
        let own = |key: &Key| *key.name == *self.name && key.resource == self.served.filed;
        Settled::Problem(match reject {
            Reject::Exists(key) if own(&key) && self.rejected == Rejected::Tell => {
                Problem::already_exists(resource, &self.name)
            }
            Reject::Changed { key, .. } if own(&key) && self.rejected == Rejected::Tell => {
                Problem::modified(resource, &self.name)
            }
            Reject::Exists(_) | Reject::Changed { .. } | Reject::Missing(_) => {
                return Settled::Retry;
            }
            Reject::Log(why) => Problem::internal(format!("the write was not made durable: {why}")),
            Reject::Closed => {
                Problem::new(Reason::ServiceUnavailable, "the server is shutting down")
            }
        })
    }
}

impl<'a> Ctx<'a> {
    pub fn resource(&self) -> &meta::Resource {
        &self.served.resource
    }

    pub fn sub_name(&self) -> &'a str {
        self.sub.map_or("", |s| s.name.as_str())
    }

    /// The object the request names.
    pub fn current(&self) -> Result<Arc<Object>, Problem> {
        crate::read::get(self.served, self.view, (self.namespace, self.name))
    }

    pub fn admit(
        &'a self,
        operation: Operation,
        name: &'a str,
        old: Option<&'a Value>,
    ) -> Admit<'a> {
        Admit {
            operation,
            gvk: &self.served.gvk,
            resource: &self.served.resource,
            subresource: self.sub_name(),
            namespace: self.namespace,
            name,
            old,
            identity: self.env.identity,
            now: self.env.now,
            view: self.view,
            tokens: self.tokens,
            authorizer: self.authorizer,
        }
    }

    pub fn mutate(
        &self,
        value: &mut Value,
        admit: &Admit<'_>,
        extras: &mut Extras,
    ) -> Result<(), Problem> {
        ADMISSION.iter().filter_map(|row| row.mutate).try_for_each(|f| f(value, admit, extras))
    }

    pub fn validate(
        &self,
        value: &Value,
        admit: &Admit<'_>,
        extras: &mut Extras,
    ) -> Result<(), Problem> {
        ADMISSION.iter().filter_map(|row| row.validate).try_for_each(|f| f(value, admit, extras))
    }

    /// Defaults of the schema, then those of the kind.
    pub fn default(&self, value: &mut Value) {
        if let Some(ty) = &self.served.ty {
            schema::apply_defaults(value, ty);
        }
        if let Some(default) = self.served.hooks.default {
            default(value);
        }
    }

    /// Every fault of the object: metadata, schema, kind.
    pub fn check(&self, value: &Value, old: Option<&Value>) -> Result<(), Problem> {
        let mut faults = metadata::check(self.served, value, old);
        if self.served.custom
            && let Some(ty) = &self.served.ty
        {
            faults.extend(schema::validate(value, ty, ""));
            // An object that had duplicates before may keep them.
            if old.is_none_or(|old| schema::duplicates(old, ty, "").is_empty()) {
                faults.extend(schema::duplicates(value, ty, ""));
            }
        }
        match self.sub.map(|s| &s.action) {
            None => {
                if let Some(check) = self.served.hooks.check {
                    check(value, old, &mut faults);
                }
            }
            Some(Action::Part { check: Some(check), .. }) => check(value, old, &mut faults),
            Some(_) => {}
        }
        self.refuse(object::meta_text(value, "name"), &faults)
    }

    pub fn refuse(&self, name: &str, faults: &[Fault]) -> Result<(), Problem> {
        if faults.is_empty() {
            return Ok(());
        }
        Err(Problem::invalid(&self.served.gvk.group, &self.served.gvk.kind, name, faults))
    }

    /// A transaction of one write and whatever admission added.
    pub fn commit(&self, op: Op, extras: Extras, then: Then) -> Result<Step, Problem> {
        let mut ops = vec![op];
        for also in extras.also {
            ops.push(self.also(also)?);
        }
        let then = Then { warnings: extras.warnings, ..then };
        Ok(Step::Commit(Txn { ops }, then))
    }

    pub fn also(&self, also: Also) -> Result<Op, Problem> {
        let filed = self.catalog.filed(&also.resource);
        let draft = |value: Value| match filed {
            Some(served) => bare_draft(served, value),
            None => {
                let name = object::meta_text(&value, "name").to_string();
                Draft::new(Key::new(&also.resource, "", &name), store::Head::default(), value)
            }
        };
        Ok(match also.change {
            AlsoChange::Create(value) => Op::Put { draft: draft(value), expect: Expect::Absent },
            AlsoChange::Replace(value) => {
                let revision =
                    object::meta_text(&value, "resourceVersion").parse().map_err(|_| {
                        Problem::internal("admission replaced an object without a resourceVersion")
                    })?;
                Op::Put { draft: draft(value), expect: Expect::Revision(revision) }
            }
            AlsoChange::Delete { namespace, name } => {
                let key = Key::new(&also.resource, &namespace, &name);
                Op::Delete { key, expect: Expect::Present }
            }
        })
    }

    /// A transaction that deletes `old`, and whatever goes with it.
    pub fn drop(
        &self,
        op: Op,
        old: &Value,
        mut extras: Extras,
        then: Then,
    ) -> Result<Step, Problem> {
        if self.served.custom {
            extras.also.extend(kinds::instance_goes(&self.served.filed, self.view));
        }
        if let Some(release) = self.served.hooks.release {
            extras.also.extend(release(old, self.view));
        }
        self.commit(op, extras, then)
    }

    pub fn then(&self, code: u16, name: &str, rejected: Rejected) -> Then {
        Then {
            served: self.served.clone(),
            at: 0,
            code,
            say: Say::Object,
            rejected,
            name: name.into(),
            warnings: Vec::new(),
        }
    }

    pub fn writer(&self) -> merge::Writer<'_> {
        merge::Writer {
            manager: &self.options.manager,
            subresource: self.sub_name(),
            api_version: "",
            now: self.env.now,
        }
    }
}

/// A draft of a value already in its stored form.
fn bare_draft(served: &Served, value: Value) -> Draft {
    let namespace = object::meta_text(&value, "namespace").to_string();
    let name = object::meta_text(&value, "name").to_string();
    Draft::new(object::key(served, &namespace, &name), object::head(&served.fields, &value), value)
}
