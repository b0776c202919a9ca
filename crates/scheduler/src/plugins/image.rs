//! ImageLocality: nodes that have the images already (plugins/imagelocality/image_locality.go).

use crate::decide::Cycle;
use crate::node::NodeView;
use crate::table::{Normalise, Plugin, Score};

pub(crate) static PLUGIN: Plugin = Plugin {
    name: "ImageLocality",
    filter: None,
    score: Some(Score {
        applies: |cycle| !cycle.pod.images.is_empty(),
        raw: score,
        normalise: Normalise::Not,
    }),
    weight: 1,
    wakes: &[],
};

/// Below this many bytes an image does not count; above the other, more does not help.
const LEAST: i64 = 23 * 1024 * 1024;
const MOST_PER_CONTAINER: i64 = 1000 * 1024 * 1024;

fn score(cycle: &Cycle<'_>, node: &NodeView) -> i64 {
    let size = cycle.cluster.size().max(1);
    let worth = |image: &String| {
        let bytes = *node.images.get(image)?;
        // An image that few nodes have pulls less, so that one node is not flooded (`scaledImageScore`).
        let share = cycle.cluster.having(image) as f64 / size as f64;
        Some((bytes as f64 * share) as i64)
    };
    let here: i64 = cycle.pod.images.iter().filter_map(worth).sum();
    let containers = i64::try_from(cycle.pod.containers.max(1)).unwrap_or(1);
    let most = MOST_PER_CONTAINER * containers;
    100 * (here.clamp(LEAST, most) - LEAST) / (most - LEAST)
}
