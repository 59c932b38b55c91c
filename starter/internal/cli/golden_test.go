package cli_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/starter/internal/doctor"
	"parley/starter/internal/faketemporal"
	"parley/starter/internal/provision"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden keeps every shape of output: text for people, and JSON that scripts depend on.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"setup":                  {"setup"},
		"doctor":                 {"doctor"},
		"owner-add":              {"owner", "add", "acme", "--name", "Acme Ltd"},
		"owner-list":             {"owner", "list"},
		"owner-show":             {"owner", "show", "acme"},
		"account-add":            {"account", "add", accountA, "--name", "main", "--token-env", "TOKEN"},
		"account-list":           {"account", "list"},
		"account-rotate":         {"account", "rotate", accountA, "--token-env", "TOKEN"},
		"account-drop-token":     {"account", "drop-token", accountA, newestToken},
		"account-remove":         {"account", "remove", accountA},
		"sender-add":             {"sender", "add", accountA, "whatsapp:+15551230000", "--owner", "acme"},
		"sender-list":            {"sender", "list", "--owner", "acme"},
		"sender-remove":          {"sender", "remove", accountA, "+15551230000"},
		"plan-list":              {"plan", "list"},
		"plan-add":               {"plan", "add", "small", "--name", "Small", "--quota", "ai_replies=500,message_segments=2000"},
		"subscription-set":       {"subscription", "set", "acme", "--state", "past_due"},
		"subscription-show":      {"subscription", "show", "acme"},
		"usage":                  {"usage", "acme"},
		"ledger":                 {"ledger", "acme", "--workflow", "inbound:sent"},
		"consent-show":           {"consent", "show", "+15557654321", "--owner", "acme"},
		"consent-show-whatsapp":  {"consent", "show", "whatsapp:+15557654321", "--owner", "acme"},
		"contact-list":           {"contact", "list", "--owner", "acme"},
		"contact-show":           {"contact", "show", "whatsapp:US.1234", "--owner", "acme"},
		"contact-set":            {"contact", "set", "+15557650000", "--owner", "acme", "--registered"},
		"consent-show-nothing":   {"consent", "show", "+15557650000", "--owner", "acme"},
		"conversation-list":      {"conversation", "list"},
		"conversation-show":      {"conversation", "show", "c-looping"},
		"conversation-resume":    {"conversation", "resume", "c-looping", "--reason", "a person"},
		"secrets-keygen":         {"secrets", "keygen"},
		"secrets-rotate":         {"secrets", "rotate"},
		"send":                   send("--key", "k1"),
		"parked":                 {"parked", "--limit", "2"},
		"retry":                  {"retry", parkedID},
		"abandon-without-worker": {"abandon", "outbound:acme:silent"},
		"cancel":                 {"cancel", "inbound:billing"},
		"show-parked":            {"show", parkedID},
		"show-waits":             {"show", "m-billing"},
		"show-sent":              {"show", "SM-of-the-reply"},
		"show-forgotten":         {"show", "m-forgotten"},
		"show-cut":               {"show", "m-cut"},
		"show-stopped":           {"show", "m-stopped"},
		"status":                 {"status", "SM-of-the-reply"},
		"status-fetch":           {"status", "m-stopped", "--fetch"},
		"status-cut":             {"status", "m-cut"},
		"status-not-sent":        {"status", "m-billing"},
		"status-stranger":        {"status", stranger, "--fetch"},
		"spool-list":             {"spool", "list", "--limit", "2"},
		"sender-add-service":     {"sender", "add", accountA, "MG0000000000000000000000000000000a", "--owner", "acme"},
		"unrouted-list":          {"unrouted", "list", "--limit", "2"},
		"unrouted-show":          {"unrouted", "show", accountA, stoppedSid},
		"unrouted-show-running":  {"unrouted", "show", accountA, stranger},
		"unrouted-start":         {"unrouted", "start", accountA, stoppedSid},
		"unrouted-remove":        {"unrouted", "remove", accountA, stoppedSid},
		"spool-remove":           {"spool", "remove", accountA, stoppedSid},
	} {
		for suffix, format := range map[string]string{".txt": "--json=false", ".json": "--json=true"} {
			t.Run(name+suffix, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					out, _ := goldenStarter().must(t, 0, slices.Concat(args, []string{format})...)
					checkWidth(t, suffix, out)
					compare(t, name+suffix, out)
				})
			})
		}
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./starter/internal/cli -update writes it anew):\n%s", file, got)
	}
}

// checkWidth wants text to fit a terminal of 80 columns. A command to be copied is not cut, whatever its length.
func checkWidth(t *testing.T, suffix, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if suffix == ".txt" && utf8.RuneCountInString(line) > 80 && !strings.HasPrefix(line, "  temporal ") && !strings.HasPrefix(line, "  starter ") {
			t.Errorf("too wide: %s", line)
		}
	}
}

// goldenStarter knows a flow in every state that show tells apart.
func goldenStarter() *starter {
	s := newStarter(
		parkedFlow(func(string, contract.Command) error { return nil }),
		faketemporal.Flow{ID: "outbound:acme:silent", Owner: "acme", Stage: contract.StageParked, Started: created},
		faketemporal.Flow{ID: contract.InboundWorkflowID(accountA, stranger), Stage: contract.StageReceived, Started: created},
		billingFlow(),
		faketemporal.Flow{ID: "inbound:sent", Owner: "acme", Stage: contract.StageClosed, Started: created,
			State: enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, Answers: sentStatus, Ends: sentResult},
		faketemporal.Flow{ID: "outbound:acme:stopped", Owner: "acme", Stage: contract.StageDelivering, Started: created,
			State: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, Answers: stoppedStatus},
		faketemporal.Flow{ID: "outbound:acme:third", Owner: "acme", Stage: contract.StageParked, Started: created},
	)
	s.env["TOKEN"] = "secret"
	s.report = provision.Report{
		SchemaVersion: 1,
		Namespace:     provision.Namespace{Name: "default", State: provision.Exists, RetentionDays: 1},
		SearchAttributes: []provision.Attribute{
			{Name: "ParleyOwner", State: provision.Created}, {Name: "ParleyStage", State: provision.Exists},
		},
		Schedules: []provision.Schedule{{Name: "upkeep.CloseEnded", State: provision.Updated}},
		Notes:     []string{"Parley wants closed flows to be kept for 30 days"},
		Commands:  []string{"temporal operator namespace update --namespace default --retention 30d"},
		Ready:     true,
	}
	s.health = unwell(doctor.Warning)
	s.spool = spool{
		{SpoolKey: domain.SpoolKey{AccountSid: accountA, MessageSid: stoppedSid}, ReceivedAt: created, DueAt: created.Add(time.Minute), Refusals: 3,
			Refusal: "a stored value is encrypted with key 4711, which PARLEY_KEYSET does not have"},
		{SpoolKey: domain.SpoolKey{AccountSid: accountA, MessageSid: stranger}, ReceivedAt: created, DueAt: created},
		{SpoolKey: domain.SpoolKey{AccountSid: accountB, MessageSid: stranger}, ReceivedAt: created, DueAt: created},
	}
	s.unrouted = unrouted{
		unroutedMessage(accountA, stoppedSid),
		{AccountSid: accountB, MessageSid: stranger, ReceivedAt: created, KeptAt: created, Reason: "unroutable",
			Err: domain.Errorf(domain.KindConfiguration, "a stored value is encrypted with key 4711, which PARLEY_KEYSET does not have")},
		unroutedMessage(accountA, stranger),
	}
	s.vault.done = domain.Reencrypted{Values: 12, Places: []string{}}
	s.messages["m-billing"] = domain.Trace{Message: inboundMessage("m-billing", "inbound:billing")}
	s.messages["SM-of-the-reply"] = sentTrace()
	forgotten := inboundMessage("m-forgotten", "inbound:forgotten")
	forgotten.Fallback = "error 11200 at https://parley.example/webhooks/twilio/inbound"
	s.messages["m-forgotten"] = domain.Trace{Message: forgotten}
	s.messages["m-cut"] = cutTrace()
	s.messages["m-stopped"] = stoppedTrace()
	s.twilio[stoppedSid] = twilio.Message{Sid: stoppedSid, Status: domain.StatusDelivered}
	s.twilio[stranger] = twilio.Message{
		Sid: stranger, Direction: "outbound-api", From: "+15551239999", To: "+15557654321", DateCreated: created,
		Status: domain.StatusUndelivered, ErrorCode: 30003,
	}
	return s
}

// unwell is a report with each shape of a result; its worst problem has a state.
func unwell(worst doctor.State) doctor.Report {
	return doctor.Report{State: worst, Checks: []doctor.Result{
		{Name: "configuration", State: doctor.OK, Found: "complete"},
		{Name: "database", State: doctor.OK, Found: "Postgres 15.13 (Debian 15.13-0+deb12u1), database parley, role parley"},
		{Name: "accounts", State: worst, Found: "accounts that Twilio lets in: 0 of 2", Problems: []doctor.Problem{
			{State: worst, What: accountA + ": Twilio did not accept the account's auth token", Advice: "starter account rotate " + accountA + " --token-file FILE"},
			{State: doctor.Warning, What: accountB + ": too many requests at once; this one was not processed", Advice: "try again later"},
		}},
		{Name: "temporal", State: worst, Problems: []doctor.Problem{{State: worst, What: "nobody listens", Advice: "start it"}}},
		{Name: "search attributes", State: doctor.Skipped, Found: "temporal failed"},
	}}
}

const (
	stoppedSid = "SM00000000000000000000000000000005"
	stranger   = "SM00000000000000000000000000000009"
)

func outboundMessage(id, flow string) domain.TracedMessage {
	message := inboundMessage(id, flow)
	message.Direction, message.TwilioSid, message.From, message.To, message.Body = domain.Outbound, "", message.To, message.From, "Your table is ready."
	return message
}

// cutTrace is a message of three parts of which the second was refused, since the person had opted out meanwhile.
func cutTrace() domain.Trace {
	message := outboundMessage("m-cut", "outbound:acme:cut")
	finished := created.Add(3 * time.Second)
	message.ReplyState, message.Outcome, message.FinishedAt = domain.ReplyAnswered, domain.OutcomeSent, &finished
	message.Reason = "part 2 of 3 was not sent: Twilio refused the message with code 21610"
	return domain.Trace{
		Message: message,
		Attempts: []domain.TracedAttempt{
			{Part: 1, Attempt: 1, State: domain.AttemptAccepted, TwilioSid: "SM00000000000000000000000000000004", Status: domain.StatusUndelivered,
				ErrorCode: 63014, BegunAt: created, ResolvedAt: &finished},
			{Part: 2, Attempt: 1, State: domain.AttemptRefused, ErrorCode: 21610, Error: "Attempt to send to unsubscribed recipient",
				BegunAt: created, ResolvedAt: &finished},
		},
		Events: []domain.TracedEvent{
			{Part: 1, Attempt: 1, Source: domain.SourceCallback, Status: domain.StatusUndelivered, ErrorCode: 63014, ReceivedAt: finished},
		},
	}
}

// stoppedTrace is what is stored of a message whose flow was terminated while its delivery was awaited.
func stoppedTrace() domain.Trace {
	message := outboundMessage("m-stopped", "outbound:acme:stopped")
	resolved := created.Add(time.Second)
	message.ReplyState, message.Status = domain.ReplyAnswered, domain.StatusQueued
	return domain.Trace{Message: message, Attempts: []domain.TracedAttempt{
		{Part: 1, Attempt: 1, State: domain.AttemptAccepted, TwilioSid: stoppedSid, Status: domain.StatusQueued, BegunAt: created, ResolvedAt: &resolved},
	}}
}

func stoppedStatus() (contract.StatusResult, error) {
	return contract.StatusResult{
		OwnerID: "acme", MessageID: "m-stopped", Stage: contract.StageDelivering,
		Steps: []contract.StepStatus{
			{Name: "messaging.Send", State: contract.StepDone}, {Name: "delivery", State: contract.StepRunning},
		},
	}, nil
}

func inboundMessage(id, flow string) domain.TracedMessage {
	deadline := created.Add(10 * time.Minute)
	return domain.TracedMessage{
		MessageID: id, OwnerID: "acme", WorkflowID: flow, Direction: domain.Inbound, AccountSid: accountA,
		TwilioSid: "SM00000000000000000000000000000002", From: "+15557654321", To: "+15551230000",
		Body: "Hello,\nare you open on Sunday? I would like to come with my whole family, all eleven of us.\x1b[2J",
		Part: 1, ReplyState: domain.ReplyPending, Deadline: &deadline, ReceivedAt: created,
	}
}

func billingFlow() faketemporal.Flow {
	return faketemporal.Flow{ID: "inbound:billing", Owner: "acme", Stage: contract.StageWorking, Started: created, Pending: []*workflow.PendingActivityInfo{
		{
			ActivityType: &common.ActivityType{Name: contract.Reserve.Name}, State: enums.PENDING_ACTIVITY_STATE_SCHEDULED,
			Attempt: 1, ScheduledTime: timestamppb.New(created),
		},
		{
			ActivityType: &common.ActivityType{Name: contract.RecordInbound.Name}, State: enums.PENDING_ACTIVITY_STATE_SCHEDULED,
			Attempt: 4, ScheduledTime: timestamppb.New(created), NextAttemptScheduleTime: timestamppb.New(created.Add(time.Minute)),
			LastFailure: &failure.Failure{Message: "message: the database does not answer", FailureInfo: &failure.Failure_ApplicationFailureInfo{
				ApplicationFailureInfo: &failure.ApplicationFailureInfo{Type: string(domain.KindUnavailable)},
			}},
		},
	}}
}

func sentStatus() (contract.StatusResult, error) {
	return contract.StatusResult{
		OwnerID: "acme", MessageID: "m-sent", Stage: contract.StageClosed, Outcome: domain.OutcomeReplied,
		Steps: []contract.StepStatus{
			{Name: "account.Resolve", State: contract.StepDone}, {Name: "reply.Generate", State: contract.StepDone, Note: "1 part"},
			{Name: "messaging.Send", State: contract.StepDone}, {Name: "delivery", State: contract.StepEnded, Note: "undelivered"},
		},
	}, nil
}

func sentResult(context.Context) (contract.MessageResult, error) {
	return contract.MessageResult{MessageID: "m-sent", Outcome: domain.OutcomeReplied, Status: domain.StatusUndelivered, ErrorCode: 30003}, nil
}

func sentTrace() domain.Trace {
	message := inboundMessage("m-sent", "inbound:sent")
	message.ConversationID = "c-before"
	finished := created.Add(3 * time.Second)
	message.ReplyState, message.Outcome, message.FinishedAt = domain.ReplyAnswered, domain.OutcomeReplied, &finished
	return domain.Trace{
		Message: message,
		Parts: []domain.TracedMessage{{
			MessageID: "m-reply", OwnerID: "acme", WorkflowID: "inbound:sent", Direction: domain.Outbound, AccountSid: accountA,
			From: "+15551230000", To: "+15557654321", Body: "Yes, from nine to six.", Part: 1, Status: domain.StatusUndelivered, ErrorCode: 30003,
			ReceivedAt: created,
		}},
		Attempts: []domain.TracedAttempt{
			{Part: 1, Attempt: 1, State: domain.AttemptNotSent, Error: "connection refused", Refused: []string{newestToken}, BegunAt: created, ResolvedAt: &finished},
			{Part: 1, Attempt: 2, State: domain.AttemptAccepted, TwilioSid: "SM00000000000000000000000000000003",
				Status: domain.StatusUndelivered, ErrorCode: 30003, BegunAt: created, ResolvedAt: &finished,
				Price: &domain.Money{Micros: 7900, Currency: "USD"}},
		},
		Events: []domain.TracedEvent{
			{Part: 1, Attempt: 2, Source: domain.SourceCallback, Status: domain.StatusSent, ReceivedAt: finished},
			{Part: 1, Attempt: 2, Source: domain.SourceFetch, Status: domain.StatusUndelivered, ErrorCode: 30003, ReceivedAt: finished},
		},
		Ledger: []domain.TracedEntry{
			{Kind: "reserve", Meter: "ai_replies", Quantity: 1, CreatedAt: created},
			{Kind: "settle", Meter: "ai_replies", Quantity: 1, CreatedAt: finished},
		},
		AIRuns: []domain.TracedAIRun{{Provider: "openai", Model: "gpt-x", InputTokens: 210, OutputTokens: 12, LatencyMS: 640, CreatedAt: created,
			Cost: &domain.Money{Micros: 39, Currency: "USD"}}},
	}
}
