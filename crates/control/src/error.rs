//! From what went wrong below to what a person is told. The only place where that is decided.

use model::{Problem, Status};

/// Turns a failure of a lower crate into a [`Problem`].
pub(crate) trait OrProblem<T> {
    /// # Errors
    /// The same failure in words and with a status.
    fn or_problem(self) -> Result<T, Problem>;
}

impl<T> OrProblem<T> for Result<T, store::Error> {
    fn or_problem(self) -> Result<T, Problem> {
        self.map_err(|e| match e {
            store::Error::Unavailable(source) => {
                tracing::warn!(%source, "the database does not answer");
                Problem::unavailable(
                    "The database does not answer, so this cannot be recorded now. Try again in a moment. \
                     ROLL BACK works all the same.",
                )
            }
            store::Error::Conflict(words) => Problem::conflict(words),
            store::Error::Fenced => {
                Problem::conflict("Another replica has taken this release over in the meantime. Try again.")
            }
            store::Error::NotFound(what) => Problem::not_found(format!("There is no such {what}.")),
            other => bug(&other),
        })
    }
}

impl<T> OrProblem<T> for Result<T, cluster::Error> {
    fn or_problem(self) -> Result<T, Problem> {
        self.map_err(|e| Problem::unavailable(e.to_string()))
    }
}

/// Logs the cause, tells the person no more than that it is our fault.
pub(crate) fn bug(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %chain(error), "unexpected failure");
    Problem::new(Status::Bug, "Tidegate made a mistake. It is in the log under this request's id.")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text.push_str(": ");
        text.push_str(&e.to_string());
        source = e.source();
    }
    text
}
