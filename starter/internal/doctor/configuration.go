package doctor

import (
	"context"

	"parley/internal/domain"
)

const (
	configuration = "configuration"
	keyset        = "keyset"
	payloadKeyset = "payload keyset"
)

// Configuration takes the problems that were found when the environment was read.
func Configuration(problems []error) Check {
	return Check{Name: configuration, Look: func(context.Context) Finding {
		if len(problems) == 0 {
			return found("complete")
		}
		var f Finding
		for _, problem := range problems {
			f.fail("set it as .env.example says, for all processes alike", "%s", problem)
		}
		return f
	}}
}

// Keyset looks whether the keyset can be loaded. Whether it is the right one, Accounts tells.
func Keyset(load func() error) Check {
	return Check{Name: keyset, Look: func(context.Context) Finding { return loaded(load(), "no secret is stored") }}
}

// PayloadKeyset looks whether the keyset of what Temporal stores can be loaded, and is another one than that of the database. Whether it is
// the right one, Payloads tells.
func PayloadKeyset(load func() error, same func() bool) Check {
	return Check{Name: payloadKeyset, Look: func(context.Context) Finding {
		f := loaded(load(), "no flow was started")
		if len(f.Problems) == 0 && same() {
			f.warn("make another one, starter secrets keygen, and see in docs/operations.md how a key takes the place of another",
				"it shares a key with PARLEY_KEYSET: whoever is to read histories can read every token")
		}
		return f
	}}
}

// loaded is what loading a keyset came to, which may be a new one where something holds.
func loaded(err error, where string) Finding {
	if err != nil {
		return failed("restore it from its backup; where "+where+" yet, make one: starter secrets keygen", "%s", err)
	}
	return found("loads")
}

// unavailable reports whether an error says that the other side does not answer.
func unavailable(err error) bool {
	return domain.KindOf(err) == domain.KindUnavailable
}
