//! Pictures of charts as PNG. The letters are those of DejaVu Sans, which is built in: what fonts a machine has is no matter.

use model::{Problem, Status};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Pixels for each pixel of the SVG.
const SCALE: f32 = 2.0;
/// Drawn at once at most: each takes a core for a moment.
static TURNS: Semaphore = Semaphore::const_new(2);

/// An SVG of ours as a PNG at twice its size.
///
/// # Errors
/// 500 when it cannot be drawn, which is a fault of ours.
pub(crate) async fn png(svg: String) -> Result<Vec<u8>, Problem> {
    let turn = TURNS.acquire().await;
    let drawn = tokio::task::spawn_blocking(move || draw(&svg)).await;
    drop(turn);
    match drawn {
        Ok(Ok(png)) => Ok(png),
        Ok(Err(e)) => Err(failed(&e)),
        Err(e) => Err(failed(&e.to_string())),
    }
}

fn failed(why: &str) -> Problem {
    tracing::error!(why, "a chart could not be drawn as PNG");
    Problem::new(Status::Bug, "The picture could not be drawn. Take it as SVG.")
}

fn draw(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options { font_family: "DejaVu Sans".to_owned(), fontdb: fonts(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or("no size")?;
    let mut picture = Pixmap::new(size.width(), size.height()).ok_or("no room")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut picture.as_mut());
    picture.encode_png().map_err(|e| e.to_string())
}

fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let read = || {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(dejavu::sans::regular())));
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(dejavu::sans::bold())));
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    };
    FONTS.get_or_init(read).clone()
}
