package secrets_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/internal/secrets"
)

const variable = "PARLEY_KEYSET"

func generate(t *testing.T) string {
	t.Helper()
	keyset, err := secrets.Generate()
	must(t, err)
	return keyset
}

func load(t *testing.T, keyset string) *secrets.Cipher {
	t.Helper()
	cipher, err := secrets.Load(variable, keyset, "")
	must(t, err)
	return cipher
}

func loadFile(t *testing.T, file string) *secrets.Cipher {
	t.Helper()
	cipher, err := secrets.Load(variable, "", file)
	must(t, err)
	return cipher
}

func encrypt(t *testing.T, cipher *secrets.Cipher, plain string) []byte {
	t.Helper()
	ciphertext, err := cipher.Encrypt([]byte(plain), "a")
	must(t, err)
	return ciphertext
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reads fails the test unless the cipher decrypts, or does not.
func reads(t *testing.T, what string, cipher *secrets.Cipher, ciphertext []byte, want bool) {
	t.Helper()
	plain, err := cipher.Decrypt(ciphertext, "a")
	if want && (err != nil || string(plain) != "token") {
		t.Errorf("%s: got %q, %v", what, plain, err)
	}
	if !want && (domain.KindOf(err) != domain.KindConfiguration || !strings.Contains(err.Error(), variable)) {
		t.Errorf("%s: got %q, %v, want an error about %s", what, plain, err, variable)
	}
	if has := cipher.Has(ciphertext); has != want {
		t.Errorf("%s: has the key: %v", what, has)
	}
}

func write(t *testing.T, file, keyset string) {
	t.Helper()
	must(t, os.WriteFile(file, []byte(keyset+"\n"), 0o600))
}

func TestRoundTripBoundToItsPlace(t *testing.T) {
	t.Parallel()
	keyset, file := generate(t), filepath.Join(t.TempDir(), "keyset.json")
	write(t, file, keyset)
	cipher := load(t, keyset)
	ciphertext := encrypt(t, cipher, "token")
	if strings.Contains(string(ciphertext), "token") {
		t.Fatal("the ciphertext holds the secret")
	}
	reads(t, "the same keyset from a file", loadFile(t, file), ciphertext, true)
	reads(t, "another keyset", load(t, generate(t)), ciphertext, false)
	if _, err := cipher.Decrypt(ciphertext, "b"); domain.KindOf(err) != domain.KindConfiguration {
		t.Errorf("a secret copied to another place must not decrypt, got %v", err)
	}
	ciphertext[len(ciphertext)-1] ^= 1
	if _, err := cipher.Decrypt(ciphertext, "a"); domain.KindOf(err) != domain.KindConfiguration {
		t.Errorf("an altered secret must not decrypt, got %v", err)
	}
	for _, odd := range []string{"", "\x01abc", "no ciphertext at all"} {
		if _, err := cipher.Decrypt([]byte(odd), "a"); domain.KindOf(err) != domain.KindConfiguration {
			t.Errorf("%q: got %v", odd, err)
		}
	}
}

func TestLoadRefusesWhatIsNoKeyset(t *testing.T) {
	t.Parallel()
	const garbage = `{"primaryKeyId":1,"secret":"do not repeat me"}`
	for _, from := range []struct{ text, file string }{{text: garbage}, {file: filepath.Join(t.TempDir(), "missing")}} {
		_, err := secrets.Load(variable, from.text, from.file)
		if domain.KindOf(err) != domain.KindConfiguration || strings.Contains(err.Error(), "do not repeat me") || !strings.Contains(err.Error(), variable) {
			t.Errorf("got %v", err)
		}
	}
}

// A key takes the place of another in three steps. At no moment is there a ciphertext that a process cannot read which has the keyset of
// the step before, and each step may be run again.
func TestAKeyTakesThePlaceOfAnother(t *testing.T) {
	t.Parallel()
	first := generate(t)
	step := func(change func(string) (string, bool, error), from string) string {
		t.Helper()
		to, changed, err := change(from)
		must(t, err)
		if again, changedAgain, err := change(to); err != nil || !changed || changedAgain || again != to {
			t.Errorf("changed %v; run again: %v, %v", changed, changedAgain, err)
		}
		return to
	}
	added := step(secrets.AddKey, first)
	if _, changed, err := secrets.DropOlderKeys(added); domain.KindOf(err) != domain.KindConflict || changed {
		t.Errorf("the key that encrypts was removed: %v", err)
	}
	promoted := step(secrets.Promote, added)
	dropped := step(secrets.DropOlderKeys, promoted)

	ciphers := map[string]*secrets.Cipher{}
	for name, keyset := range map[string]string{"first": first, "added": added, "promoted": promoted, "dropped": dropped} {
		ciphers[name] = load(t, keyset)
	}
	older, newer := encrypt(t, ciphers["added"], "token"), encrypt(t, ciphers["promoted"], "token")
	for name, cipher := range ciphers {
		reads(t, name+" reads what the older key wrote", cipher, older, name != "dropped")
		reads(t, name+" reads what the newer key wrote", cipher, newer, name != "first")
	}
	for name, primary := range map[string][]byte{"first": older, "added": older, "promoted": newer, "dropped": newer} {
		if !ciphers[name].Primary(primary) || (ciphers[name].Primary(older) && ciphers[name].Primary(newer)) {
			t.Errorf("%s encrypts with the wrong key", name)
		}
	}
	for _, change := range []func(string) (string, bool, error){secrets.AddKey, secrets.Promote, secrets.DropOlderKeys} {
		if _, _, err := change("no keyset"); domain.KindOf(err) != domain.KindConfiguration {
			t.Errorf("got %v", err)
		}
	}
}

// A process reads its keyset's file again: at once where a key is missing, and after a while in any case. A file that is no keyset changes
// nothing.
func TestAFileIsReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keyset.json")
	first := generate(t)
	write(t, file, first)
	cipher := loadFile(t, file)
	older := encrypt(t, cipher, "token")
	added, _, err := secrets.AddKey(first)
	must(t, err)
	promoted, _, err := secrets.Promote(added)
	must(t, err)
	newer := encrypt(t, load(t, promoted), "token")

	write(t, file, "half a key")
	reads(t, "with a broken file", cipher, newer, false)
	reads(t, "with a broken file", cipher, older, true)
	write(t, file, promoted)
	reads(t, "with the new file", cipher, newer, true) // at once: what another process wrote with a new key is no error
	reads(t, "with the new file", cipher, older, true)
	if !cipher.Primary(encrypt(t, cipher, "token")) || !cipher.Primary(newer) {
		t.Error("it does not encrypt with the promoted key")
	}
}

// A key that was dropped too early is given back as docs/operations.md says: its entry of the old file is copied before the others.
func TestAKeyIsGivenBack(t *testing.T) {
	t.Parallel()
	first := generate(t)
	older := encrypt(t, load(t, first), "token")
	added, _, err := secrets.AddKey(first)
	must(t, err)
	promoted, _, err := secrets.Promote(added)
	must(t, err)
	dropped, _, err := secrets.DropOlderKeys(promoted)
	must(t, err)
	newer := encrypt(t, load(t, dropped), "token")

	type keyset struct {
		PrimaryKeyID uint32            `json:"primaryKeyId"`
		Key          []json.RawMessage `json:"key"`
	}
	var old, present keyset
	must(t, json.Unmarshal([]byte(first), &old))
	must(t, json.Unmarshal([]byte(dropped), &present))
	present.Key = append(old.Key, present.Key...)
	both, err := json.Marshal(present)
	must(t, err)
	cipher := load(t, string(both))
	reads(t, "with the key given back", cipher, older, true)
	reads(t, "with the key given back", cipher, newer, true)
	if !cipher.Primary(newer) || cipher.Primary(older) {
		t.Error("another key encrypts now")
	}
	if _, changed, err := secrets.Promote(string(both)); changed || err != nil {
		t.Errorf("promote would change it: %v, %v", changed, err)
	}
}
