package main

import (
	"context"

	"parley/activities/messaging"
	"parley/internal/domain"
	"parley/internal/twilio"
)

// gateway lets the messaging steps speak to Twilio: the steps declare what they need, the client knows nothing of them.
type gateway struct {
	client    *twilio.Client
	publicURL string
}

var _ messaging.Twilio = gateway{}

// Create makes one POST. Twilio's callbacks come back with the attempt's key in their URL.
func (g gateway) Create(ctx context.Context, login domain.Login, post messaging.Post) messaging.Answer {
	message := twilio.NewMessage{
		From: post.From, To: post.To, Body: post.Body,
		StatusCallback: twilio.CallbackURL(g.publicURL, post.Key), ValidityPeriod: post.ValidityPeriod,
	}
	for _, media := range post.Media {
		message.MediaURLs = append(message.MediaURLs, media.URL)
	}
	created := g.client.Create(ctx, login, message)
	return messaging.Answer{
		State: created.State, Sid: created.Sid, Status: created.Status, Segments: created.Segments, Price: created.Price,
		ErrorCode: created.ErrorCode, ErrorKind: created.ErrorKind, Error: created.Error, RetryAfter: created.RetryAfter, LoginRefused: created.LoginRefused,
	}
}

// Search returns the messages of Twilio's list that an attempt may have made.
func (g gateway) Search(ctx context.Context, credentials domain.Credentials, sought domain.Sought) ([]messaging.Candidate, error) {
	sent := twilio.Sent{From: sought.From, To: sought.To, Body: sought.Body, Begun: sought.BegunAt, Until: sought.Until}
	list, err := g.client.List(ctx, credentials, sent.Search())
	if err != nil {
		return nil, err
	}
	var candidates []messaging.Candidate
	for _, message := range twilio.Match(sent, list) {
		candidates = append(candidates, messaging.Candidate{
			Sid: message.Sid, Status: message.Status, Segments: message.Segments, Price: message.Price, ErrorCode: message.ErrorCode,
		})
	}
	return candidates, nil
}

// Fetch reads a message's status, and its price.
func (g gateway) Fetch(ctx context.Context, credentials domain.Credentials, sid string) (messaging.Delivery, error) {
	message, err := g.client.Fetch(ctx, credentials, sid)
	return messaging.Delivery{Status: message.Status, ErrorCode: message.ErrorCode, Price: message.Price}, err
}
