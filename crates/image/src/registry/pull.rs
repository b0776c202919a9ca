use crate::{Error, ImageStore, PullRequest, Pulled, PushRequest, Pushed, Result};
impl ImageStore {
    /// `docker pull`.
    pub async fn pull(&self, _request: PullRequest) -> Result<Pulled> {
        Err(Error::internal("pulling is not implemented yet"))
    }
    /// `docker push`.
    pub async fn push(&self, _request: PushRequest) -> Result<Pushed> {
        Err(Error::internal("pushing is not implemented yet"))
    }
}
