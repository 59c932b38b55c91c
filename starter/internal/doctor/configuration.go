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
func Keyset(load func() error) Check { return loads(keyset, "no secret is stored", load) }

// PayloadKeyset looks whether the keyset of what Temporal stores can be loaded. Whether it is the right one, Payloads tells.
func PayloadKeyset(load func() error) Check { return loads(payloadKeyset, "no flow was started", load) }

// loads is the check of a keyset, which may be a new one where something holds.
func loads(name, where string, load func() error) Check {
	return Check{Name: name, Look: func(context.Context) Finding {
		if err := load(); err != nil {
			return failed("restore it from its backup; where "+where+" yet, make one: starter secrets keygen", "%s", err)
		}
		return found("loads")
	}}
}

// unavailable reports whether an error says that the other side does not answer.
func unavailable(err error) bool {
	return domain.KindOf(err) == domain.KindUnavailable
}
