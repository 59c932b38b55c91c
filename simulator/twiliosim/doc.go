// Package twiliosim plays Twilio for one account, in memory: it accepts messages over Twilio's API, moves them through
// their statuses, posts signed webhooks and fails where a script tells it to. Only the simulator process and its tests
// use it. It imports domain, config and the signature of internal/twilio, and nothing else of ours: it plays the other side.
//
// # Twilio's API, with Basic auth by account sid and auth token
//
//	POST /2010-04-01/Accounts/{AccountSid}/Messages.json        create
//	GET  /2010-04-01/Accounts/{AccountSid}/Messages.json        list: To, From, DateSent, DateSent<, DateSent>, PageSize, PageToken
//	GET  /2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json  fetch
//	GET  …/Messages/{Sid}/Media.json                            the files of a message; of them the list has num_media only
//	GET  …/Messages/{Sid}/Media/{MediaSid}.json                 one file; without .json a redirect to its content
//
// Requests are checked as Twilio checks them, and Twilio's magic numbers work
// (https://www.twilio.com/docs/iam/test-credentials). Not played: messaging services, content templates, scheduling,
// updates, prices of inbound messages; a TwiML answer to an inbound webhook is handed back and not acted on.
//
// # Control API, JSON, without auth
//
//	POST   /simulate/inbound   {from, to, body, media, message_sid, params}: posts a signed inbound webhook, answers what came back
//	GET    /simulate/messages  every message, oldest first, with its status and the callbacks made
//	GET    /simulate/requests  how many creates arrived and were accepted, by recipient; how often each fault was met
//	PUT    /simulate/script    a Rule; it replaces the rule of the same recipient
//	DELETE /simulate/script    everything is normal again
//	PUT    /simulate/token     {auth_token, api_only, secondary}: the account's token from now on; api_only: webhooks keep theirs;
//	                           secondary: the API takes it beside the present one, as Twilio does until it is promoted
//	PUT    /simulate/door      {state, address}: open, closed or stalled; answers {address}, where it stays unless another is asked for
//
// # A message
//
// A create is answered queued; then sending, sent and delivered follow, CallbackDelay apart, each with a status callback.
// A Rule ends it otherwise. As with Twilio, the first status has no callback, and a webhook is tried again only when its
// connection failed, once. Its price is null at first: it comes a day later, or when a Rule says.
//
// # Faults
//
// What can go wrong with one message is a Rule. The usual faults have names and magic numbers, +15005550100 upwards, in the
// order of the table in faults.go; a rule with Random lets a share of all creates meet one of them, by a seed, so that a run
// can be replayed. What goes wrong before a request is written happens between a caller and an address, not to a message:
// for that there is a second listener, the door, that is closed (connection refused) or stalled (with https as the scheme of
// the caller's base URL the TLS handshake never ends). When it is open, the API answers there over plain HTTP. Its address
// stays the same.
//
// # Failure rules
//
// What a caller did wrong is answered (Twilio's error JSON; on the control API 400 and {"error"}). A webhook that fails is
// recorded with the message and logged. Nothing is sent anywhere but to loopback: a StatusCallback to another host is
// refused (21609), and so is such an inbound URL, at start. State lives in memory: the newest 50,000 messages.
package twiliosim
