//! Which entries of the rollback journal on disk are in the chain already. After a crash between commit and the
//! journal's own mark, or with two replicas on one disk, an entry comes twice.

use crate::{Result, Tx};
use model::AttemptId;

impl Tx {
    /// Marks the journal's entry of this attempt as merged, with this transaction. `false`: it was merged before; then
    /// drop the transaction. A second caller waits until the first has committed or not.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn journal_merged(&mut self, attempt: &AttemptId) -> Result<bool> {
        let sql = sqlx::query("insert into journal_merged (attempt) values ($1) on conflict do nothing");
        Ok(self.run(sql.bind(&attempt.0)).await? == 1)
    }
}
