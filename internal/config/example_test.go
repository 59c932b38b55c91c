package config_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"parley/internal/config"
)

// examplePath is where people look for it.
const examplePath = "../../.env.example"

var update = flag.Bool("update", false, "write .env.example anew")

// TestExample keeps .env.example equal to the code: go test ./internal/config -update.
func TestExample(t *testing.T) {
	t.Parallel()
	want := example(config.Environment())
	if *update {
		if err := os.WriteFile(examplePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error(".env.example is not what internal/config says: run go test ./internal/config -update")
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, section := range config.Environment() {
		for _, variable := range section.Variables {
			if seen[variable.Name] {
				t.Errorf("%s stands twice", variable.Name)
			}
			seen[variable.Name] = true
			if variable.Name == "" || variable.Meaning == "" || len(variable.ReadBy) == 0 {
				t.Errorf("a variable without name, meaning or reader: %+v", variable)
			}
			if variable.Required && variable.Default != "" {
				t.Errorf("%s is required and has a default", variable.Name)
			}
			if variable.Secret && variable.Default != "" {
				t.Errorf("%s is a secret and has a default", variable.Name)
			}
		}
	}
}

// example renders .env.example. Only what must be set is not commented out.
func example(sections []config.Section) string {
	var b strings.Builder
	b.WriteString("# Parley's environment. Made from internal/config by: go test ./internal/config -update\n")
	b.WriteString("# A line that is commented out shows the default. An empty variable of Parley's counts as one that is not set.\n")
	for _, section := range sections {
		b.WriteString("\n\n##### " + section.Title + "\n")
		for _, variable := range section.Variables {
			b.WriteString("\n# " + sentence(variable) + "\n# Read by: " + strings.Join(variable.ReadBy, ", ") + "\n")
			if !variable.Required {
				b.WriteString("#")
			}
			b.WriteString(variable.Name + "=" + variable.Default + "\n")
		}
	}
	return b.String()
}

func sentence(variable config.Variable) string {
	text := variable.Meaning
	if variable.Required {
		text += " (required)"
	}
	if variable.Secret {
		text += " (secret)"
	}
	return text
}
