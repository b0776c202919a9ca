//! Images as archives: `docker load` and `docker save`.

mod load;
mod save;
