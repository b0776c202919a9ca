//! The entry points: one request in, one decision out.

use crate::answer::Answer;
use crate::call::{Call, Verb};
use crate::catalog::{Action, Catalog, Served, Sub};
use crate::custom::Customs;
use crate::decode::{self, Format};
use crate::encode::{self, Encoder};
use crate::negotiate::{Offers, Pretty, Shape, Stream, negotiate};
use crate::request::{Env, Request};
use crate::route::{Discovery, ResourcePath, Route, route};
use crate::usage::{self, Usage};
use crate::write::{self, Ctx, DeleteRequest, Settled, Step, Validation, WriteOptions};
use crate::{
    CallNext, CallOutcome, ConnectPlan, Next, Outcome, Patch, PatchKind, Pending, PendingCall,
    query, read, table,
};
use kinds::{Attributes, Authorizer, Decision, Operation, Tokens};
use meta::{Gvk, Identity, Problem, Reason, Resource, Value};
use std::sync::{Arc, OnceLock};
use store::{Receipt, Reject, View};

/// The API server without its sockets: pure functions over snapshots. Share one behind an `Arc`.
pub struct Api {
    authorizer: Box<dyn Authorizer>,
    tokens: Box<dyn Tokens>,
    customs: Customs,
    pub(crate) usage: OnceLock<Box<dyn Usage>>,
}

impl Api {
    pub fn new(authorizer: Box<dyn Authorizer>, tokens: Box<dyn Tokens>) -> Self {
        Self { authorizer, tokens, customs: Customs::default(), usage: OnceLock::new() }
    }

    /// What is served at this snapshot: built-in kinds and established custom resources.
    pub(crate) fn catalog(&self, view: &View) -> Arc<Catalog> {
        self.customs.catalog(view, self.usage.get().is_some())
    }

    /// Decides one HTTP request against a snapshot, normally the newest.
    pub fn plan(&self, request: &Request, view: &View) -> Outcome {
        let encoder = Encoder { shape: Shape::JSON, now: request.now };
        match route(&request.path) {
            Route::Resource(path) => match self.resource(request, &path, view) {
                Ok(outcome) => outcome,
                Err(problem) => Outcome::Reply(self.refusal(request).problem(&problem)),
            },
            Route::Discovery(at) => Outcome::Reply(match self.may_read(request, view) {
                Ok(()) => self.discovery(request, &at, view),
                Err(problem) => encoder.problem(&problem),
            }),
            Route::Other => Outcome::Reply(match self.may_read(request, view) {
                Ok(()) => self.elsewhere(request, view),
                Err(problem) => encoder.problem(&problem),
            }),
        }
    }

    fn discovery(&self, request: &Request, at: &Discovery, view: &View) -> crate::Reply {
        crate::discovery::reply(&self.catalog(view), request, at)
    }

    fn elsewhere(&self, request: &Request, view: &View) -> crate::Reply {
        let found = crate::discovery::elsewhere(&self.catalog(view), request);
        found.unwrap_or_else(|| crate::Reply::text(404, "404 page not found\n"))
    }

    /// Errors are encoded in what the client accepts, JSON when in doubt.
    fn refusal(&self, request: &Request) -> Encoder {
        let offers = Offers { table: false, partial: false, protobuf: true };
        let shape = negotiate(&request.accept, offers, Stream::No).unwrap_or(Shape::JSON);
        Encoder { shape, now: request.now }
    }

    /// Whether the caller may read a path that is no resource.
    fn may_read(&self, request: &Request, view: &View) -> Result<(), Problem> {
        let attributes = Attributes {
            verb: request.method.as_str().to_lowercase(),
            path: request.path.clone(),
            ..Attributes::default()
        };
        self.authorise(&attributes, &request.identity, view)
    }

    /// # Errors
    /// 403 with upstream's text.
    pub fn authorise(
        &self,
        attributes: &Attributes,
        identity: &Identity,
        view: &View,
    ) -> Result<(), Problem> {
        match self.authorizer.decide(attributes, identity, view) {
            Decision::Allow { .. } => Ok(()),
            Decision::Deny { reason } => Err(forbidden(attributes, identity, &reason)),
        }
    }

    fn resource(
        &self,
        request: &Request,
        path: &ResourcePath,
        view: &View,
    ) -> Result<Outcome, Problem> {
        let watch = query::flag(request, "watch");
        let verb = path.verb(request.method, watch);
        self.authorise(&attributes(request, path, verb), &request.identity, view)?;
        let measured = (path.group == usage::GROUP).then(|| self.measured(view));
        let view = measured.as_ref().unwrap_or(view);
        let catalog = self.catalog(view);
        let served = catalog
            .find(&path.group, &path.version, &path.resource)
            .ok_or_else(page_not_found)?
            .clone();
        let sub = match path.subresource.as_str() {
            "" => None,
            name => Some(served.sub(name).ok_or_else(page_not_found)?),
        };
        if !served.namespaced && !path.namespace.is_empty() && *served.gvk.kind != *"Namespace" {
            return Err(page_not_found());
        }
        let verbs = sub.map_or(&served.verbs, |s| &s.verbs);
        let connects = sub.is_some_and(|s| matches!(s.action, Action::Connect));
        if !connects && !verbs.iter().any(|v| v == verb) {
            return Err(method_not_allowed());
        }
        let target =
            Target { api: self, catalog: &catalog, served: &served, sub, path, verb, view };
        target.run(request)
    }

    /// What to tell the client (or that the request must be planned again) after the store answered.
    pub fn settle(&self, pending: Pending, result: Result<Receipt, Reject>) -> Next {
        let served = pending.then.served.clone();
        match pending.then.settle(result) {
            Settled::Answer(answer) => Next::Reply(pending.encoder.reply(Some(&served), answer)),
            Settled::Problem(problem) => Next::Reply(pending.encoder.problem(&problem)),
            Settled::Retry => Next::Retry,
        }
    }

    /// Decides one in-process call. Calls are trusted: admission runs, authorisation does not.
    pub fn call(&self, call: &Call, env: &Env<'_>, view: &View) -> CallOutcome {
        match self.perform(call, env, view) {
            Ok(Step::Done(answer)) => CallOutcome::Done(Ok(plain(answer))),
            Ok(Step::Commit(txn, then)) => CallOutcome::Commit(PendingCall { txn, then }),
            Err(problem) => CallOutcome::Done(Err(problem)),
        }
    }

    fn perform(&self, call: &Call, env: &Env<'_>, view: &View) -> Result<Step, Problem> {
        let catalog = self.catalog(view);
        let at = &call.resource;
        let served = catalog
            .find(&at.group, &at.version, &at.resource)
            .ok_or_else(|| Problem::not_found(&at.resource(), &call.name))?;
        let sub = match call.subresource.as_str() {
            "" => None,
            name => Some(served.sub(name).ok_or_else(page_not_found)?),
        };
        let manager = query::manager_or(&call.options.field_manager, env.user_agent);
        let options =
            WriteOptions { dry_run: call.options.dry_run, manager, validation: Validation::Ignore };
        let ctx = Ctx {
            catalog: &catalog,
            authorizer: &*self.authorizer,
            tokens: &*self.tokens,
            served,
            sub,
            namespace: &call.namespace,
            name: &call.name,
            options: &options,
            env,
            view,
        };
        match &call.verb {
            Verb::Get => write::get_part(&ctx).map(Step::Done),
            Verb::Create(value) if sub.is_some() => write::act(&ctx, value),
            Verb::Create(value) => write::create(&ctx, value.clone()),
            Verb::Update(value) => write::update(&ctx, value.clone()),
            Verb::Patch(patch) => write::patch(&ctx, patch),
            Verb::Delete(options) => {
                let options = options.clone();
                write::delete(&ctx, &DeleteRequest { options, ..DeleteRequest::default() })
            }
        }
    }

    pub fn settle_call(&self, pending: PendingCall, result: Result<Receipt, Reject>) -> CallNext {
        match pending.then.settle(result) {
            Settled::Answer(answer) => CallNext::Done(Ok(plain(answer))),
            Settled::Problem(problem) => CallNext::Done(Err(problem)),
            Settled::Retry => CallNext::Retry,
        }
    }
}

/// The answer of a call as a value.
fn plain(answer: Answer) -> Value {
    use crate::answer::Body;
    match answer.body {
        Body::Stored(object) => object.value(),
        Body::Value(value) => value,
        Body::Page(page) => page.items.iter().map(|o| o.value()).collect(),
        Body::Success(_) => {
            serde_json::json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" })
        }
    }
}

/// One request to one resource that exists.
struct Target<'a> {
    api: &'a Api,
    catalog: &'a Catalog,
    served: &'a Arc<Served>,
    sub: Option<&'a Sub>,
    path: &'a ResourcePath,
    verb: &'static str,
    view: &'a View,
}

impl Target<'_> {
    fn run(&self, request: &Request) -> Result<Outcome, Problem> {
        if let Some(Action::Connect) = self.sub.map(|s| &s.action) {
            return self.connect(request);
        }
        let stream = if self.verb == "watch" { Stream::Yes } else { Stream::No };
        let encoder = Encoder { shape: self.shape(request, stream)?, now: request.now };
        match self.verb {
            "get" => self.get(request, &encoder),
            "list" => {
                let options = query::list(request)?;
                let page = read::list(self.served, self.view, &self.path.namespace, &options)?;
                let answer = Answer::ok(crate::answer::Body::Page(page));
                Ok(Outcome::Reply(encoder.reply(Some(self.served), answer)))
            }
            "watch" => self.watch(request, encoder),
            _ => self.write(request, encoder),
        }
    }

    fn get(&self, request: &Request, encoder: &Encoder) -> Result<Outcome, Problem> {
        read::check_get_version(self.view, request.param("resourceVersion").unwrap_or_default())?;
        let options = WriteOptions::default();
        let answer = write::get_part(&self.ctx(&options, &request.env()))?;
        Ok(Outcome::Reply(encoder.reply(Some(self.served), answer)))
    }

    fn watch(&self, request: &Request, encoder: Encoder) -> Result<Outcome, Problem> {
        let mut options = query::list(request)?;
        options.watch = true;
        if !self.path.name.is_empty() {
            let only = format!("metadata.name={}", self.path.name);
            options.fields =
                if options.fields.is_empty() { only } else { format!("{},{only}", options.fields) };
        }
        let plan = read::watch(self.served, self.view, &self.path.namespace, &options, encoder)?;
        Ok(Outcome::Watch(Box::new(plan)))
    }

    fn shape(&self, request: &Request, stream: Stream) -> Result<Shape, Problem> {
        let offers = Offers {
            table: table::has_table(self.served),
            partial: !self.served.verbs.is_empty() && self.served.allows("get"),
            protobuf: !self.served.custom,
        };
        let mut shape = negotiate(&request.accept, offers, stream)?;
        shape.include = encode::include(request.param("includeObject"))?;
        let pretty = request.param("pretty").is_some_and(|v| v == "true" || v == "1");
        shape.pretty = if pretty && stream == Stream::No { Pretty::Yes } else { Pretty::No };
        Ok(shape)
    }

    fn ctx<'b>(&'b self, options: &'b WriteOptions, env: &'b Env<'b>) -> Ctx<'b> {
        Ctx {
            catalog: self.catalog,
            authorizer: &*self.api.authorizer,
            tokens: &*self.api.tokens,
            served: self.served,
            sub: self.sub,
            namespace: self.namespace(),
            name: &self.path.name,
            options,
            env,
            view: self.view,
        }
    }

    /// Namespaces are cluster-scoped, though the path of their parts looks otherwise.
    fn namespace(&self) -> &str {
        if self.served.namespaced { &self.path.namespace } else { "" }
    }

    fn write(&self, request: &Request, encoder: Encoder) -> Result<Outcome, Problem> {
        let kind = match self.verb {
            "create" => "CreateOptions",
            "update" => "UpdateOptions",
            "patch" => "PatchOptions",
            _ => "DeleteOptions",
        };
        let options = query::write(request, kind)?;
        let env = request.env();
        let ctx = self.ctx(&options, &env);
        if self.served.namespaced && self.path.namespace.is_empty() && self.verb == "create" {
            return Err(method_not_allowed());
        }
        let step = match self.verb {
            "create" if self.sub.is_some() => {
                self.body(request, &options, |v| write::act(&ctx, &v))
            }
            "create" => self.body(request, &options, |v| write::create(&ctx, v)),
            "update" => self.body(request, &options, |v| write::update(&ctx, v)),
            "patch" => self.patch(request, &ctx),
            "delete" => write::delete(&ctx, &self.delete_request(request)?),
            _ => {
                let list = query::list(request)?;
                let page = read::list(self.served, self.view, self.namespace(), &list)?;
                write::delete_collection(&ctx, page, &self.delete_request(request)?)
            }
        }?;
        Ok(match step {
            Step::Done(answer) => Outcome::Reply(encoder.reply(Some(self.served), answer)),
            Step::Commit(txn, then) => Outcome::Commit(Pending { txn, then, encoder }),
        })
    }

    /// Decodes the body as what the endpoint takes, and goes on.
    fn body(
        &self,
        request: &Request,
        options: &WriteOptions,
        go: impl FnOnce(Value) -> Result<Step, Problem>,
    ) -> Result<Step, Problem> {
        let format = decode::format(&request.content_type)?;
        let (gvk, ty) = match self.sub {
            Some(Sub { gvk: Some(gvk), ty, .. }) => (gvk, ty.as_ref()),
            _ => (&self.served.gvk, self.served.ty.as_ref()),
        };
        let mut decoded = decode::body(&request.body, format, gvk, ty, options.validation)?;
        decode::prune(self.served, &mut decoded.value);
        go(decoded.value).map(|step| write::warned(step, decoded.warnings))
    }

    fn patch(&self, request: &Request, ctx: &Ctx<'_>) -> Result<Step, Problem> {
        let force = query::flag(request, "force");
        let kind = match request.content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => PatchKind::Json,
            "application/merge-patch+json" => PatchKind::Merge,
            "application/strategic-merge-patch+json" => PatchKind::Strategic,
            "application/apply-patch+yaml" => PatchKind::Apply { force },
            _ => return Err(unsupported_patch(self.served)),
        };
        if matches!(kind, PatchKind::Apply { .. }) {
            if request.param("fieldManager").is_none_or(str::is_empty) {
                let why = "is required for apply patch";
                let fault = meta::Fault::required("fieldManager", why);
                return Err(Problem::invalid("meta.k8s.io", "PatchOptions", "", &[fault]));
            }
        } else if request.param("force").is_some_and(|f| !f.is_empty()) {
            let fault = meta::Fault::forbidden("force", "may not be specified for non-apply patch");
            return Err(Problem::invalid("meta.k8s.io", "PatchOptions", "", &[fault]));
        }
        let format = match kind {
            PatchKind::Apply { .. } => Format::Yaml,
            _ => Format::Json,
        };
        let body = decode::loose(&request.body, format)?;
        write::patch(ctx, &Patch { kind, body })
    }

    fn delete_request(&self, request: &Request) -> Result<DeleteRequest, Problem> {
        let mut options = match request.body.is_empty() {
            true => DeleteRequest::default(),
            false => {
                let format = decode::format(&request.content_type)?;
                let gvk = Gvk::new("", "v1", "DeleteOptions");
                DeleteRequest::from_value(&delete_body(&request.body, format, &gvk)?)?
            }
        };
        query::delete(request, &mut options)?;
        Ok(options)
    }

    fn connect(&self, request: &Request) -> Result<Outcome, Problem> {
        let name = proxied_name(&self.path.name);
        let object = read::get(self.served, self.view, (self.namespace(), name))?;
        let (options, env) = (WriteOptions::default(), request.env());
        let ctx = self.ctx(&options, &env);
        let admit = ctx.admit(Operation::Connect, name, None);
        ctx.validate(&Value::Null, &admit, &mut kinds::Extras::default())?;
        Ok(Outcome::Connect(Box::new(ConnectPlan {
            method: request.method,
            resource: self.served.gvr.clone(),
            namespace: self.path.namespace.clone(),
            name: self.path.name.clone(),
            subresource: self.path.subresource.clone(),
            path: self.path.rest.clone(),
            query: request.query.clone(),
            object,
        })))
    }
}

/// `DeleteOptions` are accepted in any group and version, as upstream registers them everywhere.
fn delete_body(bytes: &[u8], format: Format, gvk: &Gvk) -> Result<Value, Problem> {
    match format {
        Format::Protobuf => {
            let ty = schema::kind(gvk);
            Ok(decode::body(bytes, format, gvk, ty.as_ref(), Validation::Ignore)?.value)
        }
        format => decode::loose(bytes, format),
    }
}

/// `web` of `https:web:8443`, `web:80` or `web` (utilnet.SplitSchemeNamePort).
fn proxied_name(name: &str) -> &str {
    let parts: Vec<_> = name.split(':').collect();
    match parts.as_slice() {
        [_, name, _] => name,
        [name, _] => name,
        _ => name,
    }
}

fn attributes(request: &Request, path: &ResourcePath, verb: &str) -> Attributes {
    let named = path.resource == "namespaces" && !path.name.is_empty();
    Attributes {
        verb: verb.into(),
        group: path.group.clone(),
        version: path.version.clone(),
        resource: path.resource.clone(),
        subresource: path.subresource.clone(),
        namespace: if named { path.name.clone() } else { path.namespace.clone() },
        name: path.name.clone(),
        path: String::new(),
        field_selector: request.param("fieldSelector").unwrap_or_default().into(),
        label_selector: request.param("labelSelector").unwrap_or_default().into(),
    }
}

/// `pods "x" is forbidden: User "u" cannot get resource "pods" in API group "" in the namespace "n"`
fn forbidden(at: &Attributes, identity: &Identity, reason: &str) -> Problem {
    let (user, verb) = (&identity.name, &at.verb);
    if at.resource.is_empty() {
        let path = &at.path;
        let message = format!("forbidden: User {user:?} cannot {verb} path {path:?}");
        return Problem::new(Reason::Forbidden, suffixed(message, reason))
            .with(meta::Details::default());
    }
    let mut resource = at.resource.clone();
    if !at.subresource.is_empty() {
        resource = format!("{resource}/{}", at.subresource);
    }
    let place = match at.namespace.as_str() {
        "" => "at the cluster scope".to_string(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let why = format!(
        "User {user:?} cannot {verb} resource {resource:?} in API group {:?} {place}",
        at.group
    );
    let named = Resource::new(&at.group, &at.resource);
    Problem::forbidden(&named, &at.name, &suffixed(why, reason))
}

fn suffixed(text: String, reason: &str) -> String {
    if reason.is_empty() { text } else { format!("{text}: {reason}") }
}

pub fn page_not_found() -> Problem {
    Problem::new(Reason::NotFound, "the server could not find the requested resource")
        .with(meta::Details::default())
}

pub fn method_not_allowed() -> Problem {
    Problem::new(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
    .with(meta::Details::default())
}

fn unsupported_patch(served: &Served) -> Problem {
    let strategic = if served.custom { "" } else { ", application/strategic-merge-patch+json" };
    Problem::new(
        Reason::UnsupportedMediaType,
        format!(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json{strategic}, application/apply-patch+yaml"
        ),
    )
}
