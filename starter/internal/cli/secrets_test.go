package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/secrets"
	"parley/starter/internal/provision"
)

// keysetFile is a new keyset in a file, with a value that was encrypted with it.
func keysetFile(t *testing.T) (file string, value []byte) {
	t.Helper()
	keyset, err := secrets.Generate()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(file, []byte(keyset+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	return file, encryptWith(t, file)
}

func cipherOf(t *testing.T, file string) *secrets.Cipher {
	t.Helper()
	cipher, err := secrets.Load("PARLEY_KEYSET", "", file)
	if err != nil {
		t.Fatal(err)
	}
	return cipher
}

func encryptWith(t *testing.T, file string) []byte {
	t.Helper()
	value, err := cipherOf(t, file).Encrypt([]byte("token"), "place")
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// A key takes the place of another; each step may be run again, and the last one is refused as long as something needs the older key.
func TestAKeyTakesThePlaceOfAnother(t *testing.T) {
	t.Parallel()
	file, older := keysetFile(t)
	s := newStarter()
	s.vault.values = [][]byte{older, []byte("\x01 of another keyset")}
	step := func(command string, keys int) {
		t.Helper()
		for _, changed := range []bool{true, false} {
			out, _ := s.must(t, 0, "secrets", command, file, "--json")
			var r struct {
				Changed bool
				Keys    []secrets.Key
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Changed != changed || len(r.Keys) != keys {
				t.Errorf("%s, changed %v: %v\n%s", command, changed, err, out)
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", command, info.Mode(), err)
		}
		if left, err := filepath.Glob(file + "*"); err != nil || len(left) != 1 {
			t.Errorf("%s leaves %v", command, left)
		}
	}
	step("add-key", 2)
	if !cipherOf(t, file).Primary(older) {
		t.Error("the key that was added encrypts already")
	}
	s.must(t, 4, "secrets", "drop-keys", file) // the newest key is not primary
	step("promote", 2)
	newer := encryptWith(t, file)
	if cipher := cipherOf(t, file); cipher.Primary(older) || !cipher.Has(older) || !cipher.Primary(newer) {
		t.Error("the newest key does not encrypt, or the older one does not decrypt")
	}
	for _, aged := range []string{"may encrypt with an older key until 15s", "1; run 'starter secrets rotate' first"} {
		if _, err := s.must(t, 4, "secrets", "drop-keys", file); !strings.Contains(err.Error(), aged) {
			t.Errorf("got %v, want %s", err, aged)
		}
		before := time.Now().Add(-16 * time.Second)
		if err := os.Chtimes(file, before, before); err != nil {
			t.Fatal(err)
		}
	}
	if !cipherOf(t, file).Has(older) {
		t.Fatal("a key was dropped that something needs")
	}
	s.vault.values[0] = newer
	step("drop-keys", 1)
	if cipher := cipherOf(t, file); cipher.Has(older) || !cipher.Primary(newer) {
		t.Error("the wrong key was dropped")
	}
}

// Who keeps a keyset in a variable has no file.
func TestAKeysetFromTheStandardInput(t *testing.T) {
	t.Parallel()
	file, value := keysetFile(t)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newStarter()
	s.stdin = string(content)
	out, _ := s.must(t, 0, "secrets", "add-key", "-")
	if keys, err := secrets.Keys(strings.TrimSpace(out)); err != nil || len(keys) != 2 {
		t.Errorf("%v, %v", keys, err)
	}
	if cipher, err := secrets.Load("PARLEY_KEYSET", strings.TrimSpace(out), ""); err != nil || !cipher.Primary(value) {
		t.Errorf("it is another keyset: %v", err)
	}
}

func TestKeysetsThatCannotBeChanged(t *testing.T) {
	t.Parallel()
	file, _ := keysetFile(t)
	broken := filepath.Join(t.TempDir(), "broken.json")
	const secret = `{"key":"do not repeat me"}`
	if err := os.WriteFile(broken, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStarter()
	for _, command := range []string{"add-key", "promote", "drop-keys"} {
		s.must(t, 2, "secrets", command, file+".gone")
		if _, err := s.must(t, 5, "secrets", command, broken); strings.Contains(err.Error(), "do not repeat me") {
			t.Error(err)
		}
	}
	if err := os.WriteFile(file+".new", nil, 0o600); err != nil { // somebody else is at it
		t.Fatal(err)
	}
	if _, err := s.must(t, 4, "secrets", "add-key", file); !strings.Contains(err.Error(), "remove that file") {
		t.Error(err)
	}
}

// What rotate cannot read it names, and the exit code says so.
func TestRotateTellsOfWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.vault.done = domain.Reencrypted{Values: 1, Unusable: 2, Places: []string{"account_tokens/AC1/a/secret", "webhook_spool/AC1/SM1/received"}}
	out, err := s.must(t, 5, "secrets", "rotate")
	if !strings.Contains(out, "account_tokens/AC1/a/secret") || !strings.Contains(err.Error(), "PARLEY_KEYSET") {
		t.Errorf("%s\n%v", out, err)
	}
	s.vault.done = domain.Reencrypted{}
	for state, code := range map[provision.State]int{provision.Updated: 0, provision.Outdated: 5, provision.Missing: 5} {
		s.report.Schedules = []provision.Schedule{{Name: "upkeep.CloseEnded", State: state}}
		if _, err := s.must(t, code, "secrets", "rotate"); code != 0 && !strings.Contains(err.Error(), "upkeep.CloseEnded is "+string(state)) {
			t.Error(err)
		}
	}
	s.noStore = domain.Errorf(domain.KindUnavailable, "no database")
	s.must(t, 6, "secrets", "rotate")
}
