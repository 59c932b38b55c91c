package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/viper"

	"parley/internal/domain"
)

// Variable describes one setting of a process.
type Variable struct {
	Name     string
	Meaning  string
	Default  string
	Required bool
	Secret   bool
	ReadBy   []string // the processes that read it; only Environment fills it
}

// group is a part of a process's settings that checks itself. A problem begins with the name of its variable.
type group interface{ check() []error }

// process is a process's settings in which one group asks something of another.
type process interface{ checkTogether() []error }

// Load fills a process's struct (*Webhook, *Worker, *Starter, *Simulator) and checks it. It returns a KindConfiguration
// error that names every problem.
func Load(into any, getenv func(string) string) error {
	if problems := Read(into, getenv); len(problems) > 0 {
		return domain.Errorf(domain.KindConfiguration, "configuration:\n%w", errors.Join(problems...))
	}
	return nil
}

// Read fills a process's struct as far as that can be done, and returns every problem. Each begins with the name of its
// variable and a colon, and repeats no secret.
func Read(into any, getenv func(string) string) []error {
	v := viper.New()
	if file := getenv("PARLEY_CONFIG"); file != "" {
		v.SetConfigFile(file)
		if err := v.ReadInConfig(); err != nil {
			return []error{unreadable(file, err)}
		}
	}
	var problems []error
	misread := map[string]bool{}
	walk(reflect.ValueOf(into).Elem(), func(variable Variable, field reflect.Value) {
		v.SetDefault(variable.Name, variable.Default)
		if value := getenv(variable.Name); value != "" {
			v.Set(variable.Name, value)
		}
		value := strings.TrimSpace(v.GetString(variable.Name))
		if value == "" && variable.Required {
			problems = append(problems, fmt.Errorf("%s: is required: %s", variable.Name, variable.Meaning))
		}
		switch {
		case field.Type() == reflect.TypeFor[time.Duration]():
			d, err := time.ParseDuration(value)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: want a length of time such as 90s or 2m, got %q", variable.Name, value))
				misread[variable.Name] = true
			}
			field.SetInt(int64(d))
		case field.Kind() == reflect.String:
			field.SetString(value)
		case field.Kind() == reflect.Int:
			n, err := strconv.Atoi(value)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: want a whole number, got %q", variable.Name, value))
				misread[variable.Name] = true
			}
			field.SetInt(int64(n))
		default:
			problems = append(problems, fmt.Errorf("%s: fields of kind %s are not supported", variable.Name, field.Kind()))
		}
	})
	report := func(found []error) {
		for _, problem := range found {
			if name, _, _ := strings.Cut(problem.Error(), ":"); !misread[name] { // one problem a variable is enough
				problems = append(problems, problem)
			}
		}
	}
	each(reflect.ValueOf(into).Elem(), func(g group) { report(g.check()) })
	if p, ok := into.(process); ok {
		report(p.checkTogether())
	}
	return problems
}

// unreadable says what is wrong with the file of PARLEY_CONFIG. A parser's own words may quote a line, and with it a secret.
func unreadable(file string, err error) error {
	if _, ok := errors.AsType[viper.ConfigParseError](err); ok {
		return fmt.Errorf("PARLEY_CONFIG: %s is not valid %s", file, strings.TrimPrefix(filepath.Ext(file), "."))
	}
	return fmt.Errorf("PARLEY_CONFIG: %w", err)
}

// Variables returns the settings of a process's struct, in the order of its fields.
func Variables(process any) []Variable {
	var list []Variable
	walk(reflect.ValueOf(process).Elem(), func(variable Variable, _ reflect.Value) { list = append(list, variable) })
	return list
}

// walk visits every field with an env tag, in embedded structs too.
func walk(s reflect.Value, visit func(Variable, reflect.Value)) {
	for i := range s.NumField() {
		field := s.Type().Field(i)
		if field.Anonymous {
			walk(s.Field(i), visit)
			continue
		}
		tag := field.Tag
		visit(Variable{
			Name: tag.Get("env"), Meaning: tag.Get("meaning"), Default: tag.Get("default"),
			Required: tag.Get("required") == "true", Secret: tag.Get("secret") == "true",
		}, s.Field(i))
	}
}

// each visits every group: the embedded structs that check themselves.
func each(s reflect.Value, visit func(group)) {
	for i := range s.NumField() {
		if g, ok := s.Field(i).Addr().Interface().(group); ok && s.Type().Field(i).Anonymous {
			visit(g)
		}
	}
}
