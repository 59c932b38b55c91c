// Package config reads the settings of Parley's processes: one typed and validated struct a process.
//
// Values come from the environment and, below it, from a file named by PARLEY_CONFIG (YAML, TOML, JSON or .env, with the
// same names). Every problem is reported at once, each with the name of its variable. The field tags are the one
// description of a variable: .env.example is kept equal to them by a test.
//
// Temporal's own variables (TEMPORAL_*) and profiles are read by internal/temporalclient, through Temporal's envconfig.
package config
