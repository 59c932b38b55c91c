package domain

// Reencrypted is what came of encrypting anew all that is stored encrypted.
type Reencrypted struct {
	Values   int      `json:"values"`   // that were encrypted anew
	Unusable int      `json:"unusable"` // that do not decrypt; they stay as they are
	Places   []string `json:"places"`   // where the first of those are stored
}
