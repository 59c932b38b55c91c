package twiliosim_test

import (
	"reflect"
	"slices"
	"testing"

	"parley/internal/testkit"
	"parley/simulator/twiliosim"
)

// The tests of the whole stack see the simulator through types of their own: they have the same fields.
func TestTestkitMirrorsTheControlAPI(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]any{
		{testkit.Rule{}, twiliosim.Rule{}}, {testkit.Random{}, twiliosim.Random{}}, {testkit.Requests{}, twiliosim.Requests{}},
	} {
		mirror, original := fields(pair[0]), fields(pair[1])
		if len(original) == 0 || !slices.Equal(mirror, original) {
			t.Errorf("%T has\n%q, want\n%q", pair[0], mirror, original)
		}
	}
}

// fields returns the names of a struct's fields, with their tags.
func fields(value any) []string {
	var list []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(value)) {
		if field.IsExported() {
			list = append(list, field.Name+" "+string(field.Tag))
		}
	}
	return list
}
