package twilio

import (
	"context"

	"parley/internal/domain"
)

// Authenticate reports whether Twilio accepts a login. It asks the cheapest question that needs them, for one
// message of the account's list. Its errors are List's: KindConfiguration where Twilio refuses.
func (c *Client) Authenticate(ctx context.Context, login domain.Login) error {
	_, err := c.readPage(ctx, login, "PageSize=1")
	return err
}
