use super::super::{Connection, Error};
use crate::catalog::Catalog;

pub(super) async fn read(_: &mut dyn Connection) -> Result<Catalog, Error> {
    todo!()
}
