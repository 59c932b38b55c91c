package twilio_test

import (
	"crypto/sha256"
	"encoding/hex"
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
			if !twilio.Verify([]string{"another", v.AuthToken}, v.URL, v.form(), []byte(v.JSONBody), v.Signature) {
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
			verify := func(token, signedURL string, form url.Values, body, signature string) bool {
				return twilio.Verify([]string{token}, signedURL, form, []byte(body), signature)
			}
			for name, accepted := range map[string]bool{
				"no signature":  verify(v.AuthToken, v.URL, v.form(), v.JSONBody, ""),
				"another token": verify(v.AuthToken+"x", v.URL, v.form(), v.JSONBody, v.Signature),
				"no token":      twilio.Verify(nil, v.URL, v.form(), []byte(v.JSONBody), v.Signature),
			} {
				if accepted {
					t.Errorf("%s: accepted", name)
				}
			}
			for position := range v.Signature {
				if verify(v.AuthToken, v.URL, v.form(), v.JSONBody, alter(v.Signature, uint(position))) {
					t.Errorf("byte %d of the signature altered: accepted", position)
				}
			}
			for position := range v.URL {
				if verify(v.AuthToken, alter(v.URL, uint(position)), v.form(), v.JSONBody, v.Signature) {
					t.Errorf("byte %d of the URL altered: accepted", position)
				}
			}
			for key, values := range v.form() {
				altered := clone(v.Params)
				altered[key] = append([]string{values[0] + "x"}, values[1:]...)
				if verify(v.AuthToken, v.URL, altered, "", v.Signature) {
					t.Errorf("altered %s: accepted", key)
				}
				delete(altered, key)
				if verify(v.AuthToken, v.URL, altered, "", v.Signature) {
					t.Errorf("left out %s: accepted", key)
				}
			}
			if v.JSONBody != "" && verify(v.AuthToken, v.URL, nil, alter(v.JSONBody, 3), v.Signature) {
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
		{"https://[::1]:443", "https://[::1]", true},
		{"https://[::1]:8443", "https://[::1]:443", false},
		{"https://a.example", "https://a.example:80", false},
		{"https://a.example:8443", "https://a.example", false},
		{"https://a.example:8443", "https://a.example:443", false},
		{"https://a.example", "http://a.example", false},
		{"https://a.example:443", "https://a.example:443:443", false},
	} {
		t.Run(test.configured+" "+test.signed, func(t *testing.T) {
			t.Parallel()
			const uri = "/in?a=%20b&port=:443"
			signature := twilio.Sign("token", test.signed+uri, form)
			if got := twilio.Verify([]string{"token"}, test.configured+uri, form, nil, signature); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestVerifyRefusesAnEmptyToken(t *testing.T) {
	t.Parallel()
	form := url.Values{"Body": {"hello"}}
	signature := twilio.Sign("", "https://a.example/in", form)
	if twilio.Verify([]string{""}, "https://a.example/in", form, nil, signature) {
		t.Error("accepted a signature that anybody can make")
	}
}

func TestVerifyRefusesJSONWithoutItsHash(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"/in", "/in?bodySHA256=", "/in?bodySHA256=00", "/in?bodySHA256=%zz", "/in?BodySHA256=" + hashOf("{}"), "/in#?bodySHA256=" + hashOf("x")} {
		signature := twilio.Sign("token", "https://a.example"+uri, nil)
		if twilio.Verify([]string{"token"}, "https://a.example"+uri, nil, []byte("{}"), signature) {
			t.Errorf("%s: accepted", uri)
		}
	}
}

// FuzzVerify signs a request, a form and a JSON body, and checks that it is accepted as it is and refused with anything that is signed
// altered: any byte of the URL, of a value, of the body or of the signature; a parameter more or less.
func FuzzVerify(f *testing.F) {
	for i, v := range signatureVectors(f) {
		_, rest, _ := strings.Cut(v.URL, "://")
		_, uri, _ := strings.Cut(rest, "/")
		f.Add(uri, "Body", "value", "From", v.JSONBody, v.Signature, uint(i))
	}
	f.Add("", "", "", "", "", "", uint(0))
	f.Add("webhooks/twilio/status?message=%zz&part=1", "ErrorCode", "\x00\xff", "Body", "{}", "not base64", uint(7))
	f.Add("/a.example:443/?bodySHA256=x", "\U0001F642", "é", "Body", "\xff", "====", uint(1<<20))
	f.Add("https://a.example:443", "bodySHA256", "", "bodySHA256", "[]", "", uint(3))
	const token = "0123456789abcdef0123456789abcdef"
	f.Fuzz(func(t *testing.T, uri, key, value, otherKey, body, signature string, position uint) {
		address := "https://parley.example/" + uri
		form := url.Values{}
		form.Add(key, value)
		form.Add(otherKey, "other")
		accepted := func(address string, form url.Values, body, signature string) bool {
			return twilio.Verify([]string{token}, address, form, []byte(body), signature)
		}
		check := func(what string, got, want bool) {
			if got != want {
				t.Errorf("%s: accepted %t, want %t", what, got, want)
			}
		}
		for _, signed := range []string{address, "https://parley.example:443/" + uri} {
			valid := twilio.Sign(token, signed, form)
			check("a form as it was signed", accepted(address, form, "", valid), true)
			check("another URL", accepted(alter(address, position), form, "", valid), false)
			check("another signature", accepted(address, form, "", alter(valid, position)), false)
			check("another scheme's signature", accepted(address, nil, body, valid), false)
			if value != "" && key != otherKey {
				altered := clone(form)
				altered.Set(key, alter(value, position))
				check("another value", accepted(address, altered, "", valid), false)
				altered.Del(otherKey)
				check("another value and a parameter less", accepted(address, altered, "", valid), false)
			}
			more := clone(form)
			more.Add("Extra"+key+otherKey, "x")
			check("a parameter more", accepted(address, more, "", valid), false)
			less := clone(form)
			less.Del(otherKey)
			check("a parameter less", accepted(address, less, "", valid), false)
			check("no signature", accepted(address, form, "", ""), false)
			check("a signature that anybody made up", accepted(address, form, "", signature) && signature != twilio.Sign(token, address, form) &&
				signature != twilio.Sign(token, "https://parley.example:443/"+uri, form), false)
		}

		if strings.ContainsAny(uri, "?#%;&") { // the hash would not be the first, or not in the query
			accepted(address, nil, body, signature) // it does not panic
		} else {
			address += "?bodySHA256=" + hashOf(body)
			valid := twilio.Sign(token, address, nil)
			check("a body as it was signed", accepted(address, nil, body, valid), true)
			check("a body more", accepted(address, nil, body+"x", valid), false)
			check("another body", body != "" && accepted(address, nil, alter(body, position), valid), false)
			check("a body at another URL", accepted(alter(address, position), nil, body, valid), false)
			check("another body with its hash", accepted("https://parley.example/"+uri+"?bodySHA256="+hashOf(body+"x"), nil, body+"x", valid), false)
			check("a body with another signature", accepted(address, nil, body, alter(valid, position)), false)
		}
		twilio.Verify([]string{token}, uri, form, nil, signature) // a URL of any form: no panic
	})
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
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
