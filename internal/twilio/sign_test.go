package twilio_test

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"

	"parley/internal/twilio"
)

type signatureVector struct {
	Name      string     `json:"name"`
	AuthToken string     `json:"auth_token"`
	URL       string     `json:"url"`
	Params    url.Values `json:"params"`
	Signature string     `json:"signature"`
	JSONBody  string     `json:"json_body"`
}

func signatureVectors(t testing.TB) []signatureVector {
	t.Helper()
	var file struct {
		Vectors []signatureVector `json:"vectors"`
	}
	readJSON(t, "testdata/signature_vectors.json", &file)
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return file.Vectors
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// form is what Verify takes: nil for a JSON body.
func (v signatureVector) form() url.Values {
	if v.JSONBody != "" {
		return nil
	}
	return v.Params
}

// split returns the vector's URL as a public URL and a request URI.
func (v signatureVector) split() (publicURL, requestURI string) {
	scheme, rest, _ := strings.Cut(v.URL, "://")
	host, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + host, "/" + path
}

func TestSignMakesEveryVectorsSignature(t *testing.T) {
	t.Parallel()
	for _, v := range signatureVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			if got := twilio.Sign(v.AuthToken, v.URL, v.form()); got != v.Signature {
				t.Errorf("got %s, want %s", got, v.Signature)
			}
		})
	}
}

func TestVerifyAcceptsEveryVector(t *testing.T) {
	t.Parallel()
	for _, v := range signatureVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			publicURL, requestURI := v.split()
			verifier := twilio.NewVerifier(publicURL)
			if got := verifier.URL(requestURI); got != v.URL {
				t.Errorf("the signed URL is %s, want %s", got, v.URL)
			}
			if !verifier.Verify([]string{"another", v.AuthToken}, requestURI, v.form(), []byte(v.JSONBody), v.Signature) {
				t.Error("refused")
			}
		})
	}
}

func TestVerifyRefusesWhatIsNotExactlyTheVector(t *testing.T) {
	t.Parallel()
	for _, v := range signatureVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			publicURL, requestURI := v.split()
			verify := func(token, requestURI string, form url.Values, body, signature string) bool {
				return twilio.NewVerifier(publicURL).Verify([]string{token}, requestURI, form, []byte(body), signature)
			}
			for name, accepted := range map[string]bool{
				"no signature":      verify(v.AuthToken, requestURI, v.form(), v.JSONBody, ""),
				"altered signature": verify(v.AuthToken, requestURI, v.form(), v.JSONBody, alter(v.Signature, 0)),
				"another token":     verify(v.AuthToken+"x", requestURI, v.form(), v.JSONBody, v.Signature),
				"altered path":      verify(v.AuthToken, alter(requestURI, 1), v.form(), v.JSONBody, v.Signature),
				"other host":        twilio.NewVerifier("https://evil.example").Verify([]string{v.AuthToken}, requestURI, v.form(), []byte(v.JSONBody), v.Signature),
				"no token":          twilio.NewVerifier(publicURL).Verify(nil, requestURI, v.form(), []byte(v.JSONBody), v.Signature),
			} {
				if accepted {
					t.Errorf("%s: accepted", name)
				}
			}
			for key, values := range v.form() {
				altered := clone(v.Params)
				altered[key] = append([]string{values[0] + "x"}, values[1:]...)
				if verify(v.AuthToken, requestURI, altered, "", v.Signature) {
					t.Errorf("altered %s: accepted", key)
				}
				delete(altered, key)
				if verify(v.AuthToken, requestURI, altered, "", v.Signature) {
					t.Errorf("left out %s: accepted", key)
				}
			}
			if v.JSONBody != "" && verify(v.AuthToken, requestURI, nil, alter(v.JSONBody, 3), v.Signature) {
				t.Error("altered JSON body: accepted")
			}
		})
	}
}

func TestVerifyTogglesTheStandardPortOnly(t *testing.T) {
	t.Parallel()
	form := url.Values{"Body": {"hello"}}
	for _, test := range []struct {
		configured, signed string
		want               bool
	}{
		{"https://a.example", "https://a.example:443", true},
		{"https://a.example:443", "https://a.example", true},
		{"http://a.example", "http://a.example:80", true},
		{"http://a.example:80", "http://a.example", true},
		{"https://a.example/prefix", "https://a.example:443/prefix", true},
		{"https://[::1]", "https://[::1]:443", true},
		{"https://a.example", "https://a.example:80", false},
		{"https://a.example:8443", "https://a.example", false},
		{"https://a.example:8443", "https://a.example:443", false},
		{"https://a.example", "http://a.example", false},
	} {
		t.Run(test.configured+" "+test.signed, func(t *testing.T) {
			t.Parallel()
			signature := twilio.Sign("token", test.signed+"/in?a=%20b", form)
			if got := twilio.NewVerifier(test.configured).Verify([]string{"token"}, "/in?a=%20b", form, nil, signature); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestVerifyRefusesAnEmptyToken(t *testing.T) {
	t.Parallel()
	form := url.Values{"Body": {"hello"}}
	signature := twilio.Sign("", "https://a.example/in", form)
	if twilio.NewVerifier("https://a.example").Verify([]string{""}, "/in", form, nil, signature) {
		t.Error("accepted a signature that anybody can make")
	}
}

func TestVerifyRefusesJSONWithoutItsHash(t *testing.T) {
	t.Parallel()
	for _, requestURI := range []string{"/in", "/in?bodySHA256=", "/in?bodySHA256=00", "/in?bodySHA256=%zz"} {
		signature := twilio.Sign("token", "https://a.example"+requestURI, nil)
		if twilio.NewVerifier("https://a.example").Verify([]string{"token"}, requestURI, nil, []byte("{}"), signature) {
			t.Errorf("%s: accepted", requestURI)
		}
	}
}

// FuzzVerify signs a request, and checks that it is accepted as it is and refused with any one byte altered.
// (Twilio signs keys and values without a separator, so moving bytes between a key and its value goes unnoticed: that is
// the scheme's own weakness, and no attacker can use it against parameters with known names.)
func FuzzVerify(f *testing.F) {
	for i, v := range signatureVectors(f) {
		_, requestURI := v.split()
		f.Add(requestURI, "Body", "value", "From", v.Signature, uint(i))
	}
	f.Add("/", "", "", "", "", uint(0))
	f.Add("/webhooks/twilio/status?message=%zz&part=1", "ErrorCode", "\x00\xff", "Body", "not base64", uint(7))
	f.Add("//a.example:443/?bodySHA256=x", "\U0001F642", "é", "Body", "====", uint(1<<20))
	const token = "0123456789abcdef0123456789abcdef"
	verifier := twilio.NewVerifier("https://parley.example")
	f.Fuzz(func(t *testing.T, requestURI, key, value, otherKey, signature string, position uint) {
		requestURI = "/" + requestURI
		form := url.Values{}
		form.Add(key, value)
		form.Add(otherKey, "other")
		accepted := func(uri string, form url.Values, signature string) bool {
			return verifier.Verify([]string{token}, uri, form, nil, signature)
		}
		valid := twilio.Sign(token, "https://parley.example"+requestURI, form)
		if !accepted(requestURI, form, valid) {
			t.Fatal("refused a valid signature")
		}
		if signature != valid && signature != twilio.Sign(token, "https://parley.example:443"+requestURI, form) && accepted(requestURI, form, signature) {
			t.Error("accepted another signature")
		}
		if accepted(alter(requestURI, 1+position), form, valid) && len(requestURI) > 1 {
			t.Error("accepted another URL")
		}
		if value != "" && key != otherKey {
			altered := clone(form)
			altered.Set(key, alter(value, position))
			if accepted(requestURI, altered, valid) {
				t.Error("accepted another value")
			}
		}
		more := clone(form)
		more.Add("Extra"+key+otherKey, "x")
		if accepted(requestURI, more, valid) {
			t.Error("accepted another parameter")
		}
		if accepted(requestURI, form, "") {
			t.Error("accepted no signature")
		}
		verifier.Verify([]string{token}, requestURI, nil, []byte(value), signature)
		twilio.NewVerifier(value).Verify([]string{token}, requestURI, form, nil, signature) // a public URL of any form: no panic
	})
}

// alter changes one byte of a text that is not empty.
func alter(s string, position uint) string {
	if s == "" {
		return s
	}
	b := []byte(s)
	b[position%uint(len(b))] ^= 1
	return string(b)
}

func clone(form url.Values) url.Values {
	copied := url.Values{}
	for key, values := range form {
		copied[key] = append([]string(nil), values...)
	}
	return copied
}
