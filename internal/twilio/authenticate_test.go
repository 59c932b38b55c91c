package twilio_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/internal/twilio"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   domain.Kind // "": accepted
		code   int
	}{
		"accepted":            {http.StatusOK, `{"messages": []}`, "", 0},
		"a wrong token":       {http.StatusUnauthorized, twilioError(401, 20003), domain.KindConfiguration, 20003},
		"a suspended one":     {http.StatusForbidden, twilioError(403, 20005), domain.KindConfiguration, 20005},
		"too much at once":    {http.StatusTooManyRequests, twilioError(429, 20429), domain.KindThrottled, 20429},
		"somebody else's 401": {http.StatusUnauthorized, `<html>`, domain.KindUnavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked *http.Request
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = r
				answer(test.status, test.body)(w, r)
			})
			err := twilio.NewClient(server.URL).Authenticate(soon(t), login)
			if asked.Method != http.MethodGet || asked.URL.String() != "/2010-04-01/Accounts/"+account+"/Messages.json?PageSize=1" {
				t.Errorf("asked %s %s", asked.Method, asked.URL)
			}
			if user, password, _ := asked.BasicAuth(); user != account || password != login.Password {
				t.Errorf("as %q with %q", user, password)
			}
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			failure, ok := errors.AsType[*domain.Error](err)
			if !ok || failure.Kind != test.want || failure.Code != test.code || strings.Contains(failure.Error(), login.Password) {
				t.Errorf("got %v", err)
			}
		})
	}
}
