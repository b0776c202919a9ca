//! Compiled rules answer as upstream does.
