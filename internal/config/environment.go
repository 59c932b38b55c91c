package config

import "slices"

// Section is a group of variables in .env.example.
type Section struct {
	Title     string
	Variables []Variable
}

// Environment returns every variable that any part of Parley reads, each once, grouped for people. .env.example is made
// from it.
func Environment() []Section {
	return []Section{
		{"Parley's processes", processVariables()},
		{"Temporal: read by Temporal's own envconfig, which takes more variables and profiles than these", temporalVariables()},
		{"make run and the tests: they ignore DATABASE_URL and TEMPORAL_*", developmentVariables()},
		{"docker-compose.yml, beside the variables above that it names", composeVariables()},
	}
}

// processVariables returns the variables of all processes, in the order in which they are first read.
func processVariables() []Variable {
	list := []Variable{{
		Name:    "PARLEY_CONFIG",
		Meaning: "a file (.yaml, .toml, .json or .env) with any of the variables of this section; the environment wins",
		ReadBy:  []string{"webhook", "worker", "starter", "simulator"},
	}}
	for _, process := range []struct {
		name   string
		config any
	}{{"webhook", &Webhook{}}, {"worker", &Worker{}}, {"starter", &Doctor{}}, {"simulator", &Simulator{}}} {
		for _, variable := range Variables(process.config) {
			at := slices.IndexFunc(list, func(v Variable) bool { return v.Name == variable.Name })
			if at < 0 {
				at, list = len(list), append(list, variable)
			}
			list[at].ReadBy = append(list[at].ReadBy, process.name)
		}
	}
	return list
}

// temporalVariables returns what internal/temporalclient lets Temporal's envconfig read.
func temporalVariables() []Variable {
	list := []Variable{
		{Name: "TEMPORAL_ADDRESS", Default: "localhost:7233", Meaning: "host:port of the Temporal service"},
		{Name: "TEMPORAL_NAMESPACE", Default: "default", Meaning: "namespace of Parley's flows; 'starter setup' creates it where it may"},
		{Name: "TEMPORAL_API_KEY", Secret: true, Meaning: "API key of Temporal Cloud; it turns TLS on"},
		{Name: "TEMPORAL_TLS", Meaning: "true or false; on by itself where a key or a certificate is given"},
		{Name: "TEMPORAL_TLS_CLIENT_CERT_PATH", Meaning: "client certificate for mutual TLS, a PEM file"},
		{Name: "TEMPORAL_TLS_CLIENT_KEY_PATH", Meaning: "key of that certificate, a PEM file"},
		{Name: "TEMPORAL_TLS_SERVER_CA_CERT_PATH", Meaning: "certificate authority of the service, a PEM file; empty: the system's"},
		{Name: "TEMPORAL_TLS_SERVER_NAME", Meaning: "name that the service's certificate is checked against; empty: that of the address"},
		{Name: "TEMPORAL_CONFIG_FILE", Meaning: "file with Temporal's profiles; empty: temporalio/temporal.toml in the user's configuration directory, if it exists"},
		{Name: "TEMPORAL_PROFILE", Default: "default", Meaning: "profile of that file that is used"},
	}
	for i := range list {
		list[i].ReadBy = []string{"webhook", "worker", "starter"}
	}
	return list
}

// developmentVariables returns what dev and the tests read. They ignore DATABASE_URL, TEMPORAL_* and Temporal's profiles,
// so that a machine that is set up for production stays out of it.
func developmentVariables() []Variable {
	dev, tests := []string{"make run"}, []string{"the tests"}
	return []Variable{
		{Name: "PARLEY_DEV_DATABASE_URL", Secret: true, ReadBy: dev, Meaning: "a Postgres to use; empty: a private one is started. It is refused if it has tables that Parley did not make"},
		{Name: "PARLEY_DEV_TEMPORAL_ADDRESS", ReadBy: dev, Meaning: "a Temporal service to use; empty: a dev server is started"},
		{Name: "PARLEY_TEST_DATABASE_URL", Secret: true, ReadBy: tests, Meaning: "a Postgres in which the tests may create and drop databases; empty: a private one is started"},
		{Name: "PARLEY_TEST_TEMPORAL_ADDRESS", ReadBy: tests, Meaning: "a Temporal service in which the tests may create namespaces; empty: a dev server is started"},
		{Name: "TWILIO_NUMBER", ReadBy: []string{"make run TWILIO=1"}, Meaning: "the number of yours that customers write to, beside TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and PARLEY_PUBLIC_URL"},
	}
}

// composeVariables returns what docker-compose.yml asks for and no process reads.
func composeVariables() []Variable {
	return []Variable{
		{Name: "POSTGRES_PASSWORD", Required: true, Secret: true, ReadBy: []string{"docker compose"}, Meaning: "password of its Postgres: letters and digits only, since it stands in a URL"},
	}
}
