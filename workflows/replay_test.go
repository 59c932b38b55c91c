package workflows_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/secrets"
	"parley/internal/temporalclient"
	"parley/workflows"
)

// replayer replays histories against the flows as they are now.
func replayer() worker.WorkflowReplayer {
	return withFlows(patientReplayer(worker.WorkflowReplayerOptions{}))
}

// patientReplayer returns a replayer without flows. A busy machine may keep a flow from running for longer than the second after which the
// SDK calls it deadlocked.
func patientReplayer(options worker.WorkflowReplayerOptions) worker.WorkflowReplayer {
	options.DisableDeadlockDetection = true
	r, err := worker.NewWorkflowReplayerWithOptions(options)
	if err != nil {
		panic(err) // as worker.NewWorkflowReplayer does
	}
	return r
}

func withFlows(r worker.WorkflowReplayer) worker.WorkflowReplayer {
	contract.InboundMessage.Register(r, workflows.InboundMessage)
	contract.OutboundMessage.Register(r, workflows.OutboundMessage)
	return r
}

// A flow that is under way must go on with the code as it is now. A failure here after the first release asks for
// workflow.GetVersion, not for a new history.
func TestReplay(t *testing.T) {
	t.Parallel()
	var want []string
	for name := range scenarios() {
		want = append(want, historyFile(name))
	}
	slices.Sort(want)
	got, err := filepath.Glob(filepath.Join(historyFolder, "*.json"))
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("the histories are %v (%v), want %v: go test ./workflows -run TestOnServer -save", got, err, want)
	}
	for name := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, run := range map[string]workflow.Execution{"the same run": {}, "the run that a reset made": {RunID: "another"}} {
				err := replayer().ReplayWorkflowHistoryWithOptions(quiet(), load(t, name), worker.ReplayWorkflowHistoryOptions{OriginalExecution: run})
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// The histories are recorded in clear, for people to read. The workers, whose own histories are encrypted, replay both kinds.
func TestReplayByWorkersThatEncrypt(t *testing.T) {
	t.Parallel()
	keyset, err := secrets.Generate()
	if err != nil {
		t.Fatal(err)
	}
	cipher, err := secrets.Load("PARLEY_PAYLOAD_KEYSET", keyset, "")
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{"TEMPORAL_CONFIG_FILE": os.DevNull}
	options, err := temporalclient.Options(func(name string) string { return variables[name] }, cipher, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inClear := load(t, name)
			encrypted, payloads := proto.CloneOf(inClear), 0
			if err := proxy.VisitPayloads(t.Context(), encrypted, proxy.VisitPayloadsOptions{
				SkipSearchAttributes: true,
				Visitor: func(_ *proxy.VisitPayloadsContext, found []*common.Payload) ([]*common.Payload, error) {
					payloads += len(found)
					return temporalclient.NewCodec(cipher).Encode(found)
				},
			}); err != nil || payloads == 0 {
				t.Fatalf("%d payloads, %v", payloads, err)
			}
			for _, h := range []*history.History{inClear, encrypted} {
				r := patientReplayer(worker.WorkflowReplayerOptions{
					DataConverter: options.DataConverter, FailureConverter: options.FailureConverter,
				})
				if err := withFlows(r).ReplayWorkflowHistory(quiet(), h); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The replay test bites: of each history, a copy in which two neighbouring steps have changed places does not replay.
func TestReplayNoticesSwappedSteps(t *testing.T) {
	t.Parallel()
	for name := range scenarios() {
		original := load(t, name)
		steps := scheduled(original)
		for i := range len(steps) - 1 {
			if lastPart(typeOf(original, steps[i])) == lastPart(typeOf(original, steps[i+1])) {
				continue // two parts of one message; or a pair that the SDK, which compares what follows the last dot, cannot tell apart
			}
			swapped := proto.CloneOf(original)
			one := swapped.GetEvents()[steps[i]].GetActivityTaskScheduledEventAttributes()
			two := swapped.GetEvents()[steps[i+1]].GetActivityTaskScheduledEventAttributes()
			one.ActivityType, two.ActivityType = two.ActivityType, one.ActivityType
			if err := replayer().ReplayWorkflowHistory(quiet(), swapped); !nonDeterministic(err) {
				t.Errorf("%s with %s and %s swapped: %v, want it noticed", name, two.GetActivityType().GetName(), one.GetActivityType().GetName(), err)
			}
		}
	}
}

// It bites from the other side too: under the same name, a flow that does two steps in another order does not replay.
func TestReplayNoticesAnotherFlow(t *testing.T) {
	t.Parallel()
	r := patientReplayer(worker.WorkflowReplayerOptions{})
	contract.InboundMessage.Register(r, func(ctx workflow.Context, in contract.InboundMessageInput) (contract.MessageResult, error) {
		_, err := contract.ResolveIdentity.Do(ctx, workflow.ActivityOptions{StartToCloseTimeout: 1}, contract.ResolveIdentityInput{Address: in.Received.From})
		return contract.MessageResult{Outcome: domain.OutcomeReplied}, err
	})
	if err := r.ReplayWorkflowHistoryFromJSONFile(quiet(), historyFile("replied")); !nonDeterministic(err) {
		t.Errorf("%v, want it noticed", err)
	}
}

// What is saved is for everyone to see: no name of the machine that it was made on, and nobody's number. +1 555 01… is fiction's.
func TestHistoriesHoldNothingPrivate(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`\+[0-9]{7,}`)
	for name := range scenarios() {
		for _, event := range load(t, name).GetEvents() {
			text := event.String()
			if strings.Contains(text, host+":") || strings.Contains(text, "@") {
				t.Errorf("%s: event %d names a machine: %s", name, event.GetEventId(), text)
			}
			for _, found := range number.FindAllString(text, -1) {
				if !strings.HasPrefix(found, "+155501") {
					t.Errorf("%s: event %d holds a phone number: %s", name, event.GetEventId(), text)
				}
			}
		}
	}
}

func lastPart(name string) string { return name[strings.LastIndex(name, ".")+1:] }

func nonDeterministic(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "TMPRL1100") || strings.Contains(err.Error(), "nondeterministic"))
}

func load(t *testing.T, scenario string) *history.History {
	t.Helper()
	file, err := os.Open(historyFile(scenario))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	loaded, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// scheduled are the places of the events that schedule a step.
func scheduled(h *history.History) (places []int) {
	for i, event := range h.GetEvents() {
		if event.GetActivityTaskScheduledEventAttributes() != nil {
			places = append(places, i)
		}
	}
	return places
}

func typeOf(h *history.History, place int) string {
	return h.GetEvents()[place].GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
}
