// Package testkit gives tests the real parts: a Postgres database a test, a Temporal namespace a test, the built
// processes, and a whole Parley made of them. It is for tests only.
//
// Servers are started when the first test asks for one and end with the test process, however it ends; `bin/dev test`,
// which make test calls, starts one of each for all packages and names them in PARLEY_TEST_DATABASE_URL and
// PARLEY_DEV_TEMPORAL_ADDRESS, the only variables that are read here. DATABASE_URL, TEMPORAL_* and Temporal's profile file
// reach neither tests nor the processes they start. A part that cannot be had fails the test; nothing is ever skipped.
//
// Everything that a function starts is stopped when its test ends. The functions fail the test instead of returning errors.
package testkit
