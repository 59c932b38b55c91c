// Package twilio is the edge of Parley that speaks Twilio's language: signatures, webhook forms, status callbacks, error
// codes, and a client for the Messages API.
//
// The webhook, the messaging activities and the simulator call it. It returns domain types and domain errors, and imports
// nothing of ours but the domain. Nothing that it returns as an error holds an address, a body or a secret: Twilio's own
// explanations repeat phone numbers, so an error is explained by its code (see Explain).
package twilio
