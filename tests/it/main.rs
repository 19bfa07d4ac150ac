//! Integration tests against real servers, named by `SUNSET_TEST_POSTGRES_URL` and `SUNSET_TEST_MYSQL_URL`. Without
//! these the tests fail: a test that did not run has shown nothing.

mod catalog;
mod driver;
mod server;
