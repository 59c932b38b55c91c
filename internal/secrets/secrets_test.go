package secrets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/internal/secrets"
)

func TestRoundTripBoundToItsPlace(t *testing.T) {
	t.Parallel()
	keyset, err := secrets.Generate()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(file, []byte(keyset+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cipher, err := secrets.Load(keyset, "")
	if err != nil {
		t.Fatal(err)
	}
	fromFile, err := secrets.Load("", file)
	if err != nil {
		t.Fatal(err)
	}
	ciphertext, err := cipher.Encrypt([]byte("token"), "a")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(ciphertext), "token") {
		t.Fatal("the ciphertext holds the secret")
	}
	if plain, err := fromFile.Decrypt(ciphertext, "a"); err != nil || string(plain) != "token" {
		t.Fatalf("got %q, %v", plain, err)
	}
	if _, err := cipher.Decrypt(ciphertext, "b"); domain.KindOf(err) != domain.KindConfiguration {
		t.Fatalf("a secret copied to another place must not decrypt, got %v", err)
	}
	other, err := secrets.Generate()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := secrets.Load(other, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Decrypt(ciphertext, "a"); domain.KindOf(err) != domain.KindConfiguration {
		t.Fatalf("another keyset must not decrypt, got %v", err)
	}
}

func TestLoadRefusesWhatIsNoKeyset(t *testing.T) {
	t.Parallel()
	const garbage = `{"primaryKeyId":1,"secret":"do not repeat me"}`
	for _, load := range []func() error{
		func() error { _, err := secrets.Load(garbage, ""); return err },
		func() error { _, err := secrets.Load("", filepath.Join(t.TempDir(), "missing")); return err },
	} {
		err := load()
		if domain.KindOf(err) != domain.KindConfiguration || strings.Contains(err.Error(), "do not repeat me") {
			t.Errorf("got %v", err)
		}
	}
}
