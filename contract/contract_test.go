package contract_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parley/contract"
)

func TestInboundWorkflowID(t *testing.T) {
	t.Parallel()
	if got, want := contract.InboundWorkflowID("AC1", "SM2"), "inbound:AC1:SM2"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

func TestOutboundWorkflowID(t *testing.T) {
	t.Parallel()
	const key = "order 7 to +15551234567"
	id := contract.OutboundWorkflowID("acme", key)
	if !regexp.MustCompile(`^outbound:acme:[0-9a-f]{32}$`).MatchString(id) {
		t.Errorf("got %q", id)
	}
	if id != contract.OutboundWorkflowID("acme", key) {
		t.Error("the same key is to give the same flow")
	}
	if id == contract.OutboundWorkflowID("other", key) || id == contract.OutboundWorkflowID("acme", key+".") {
		t.Error("another owner or key is to give another flow")
	}
	if strings.Contains(id, "5551234567") {
		t.Error("ids are plain text: no phone number in them")
	}
}

func TestRolesAndQueues(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, role := range contract.Roles() {
		if role.Queue() != "parley-"+string(role) || seen[role.Queue()] {
			t.Errorf("%s: queue %q", role, role.Queue())
		}
		seen[role.Queue()] = true
	}
}

// definition is what every Activity[In, Out] has in common.
type definition struct {
	Name string
	Role contract.Role
}

func definitions() []definition {
	return []definition{
		{contract.ResolveAccount.Name, contract.ResolveAccount.Role},
		{contract.RecordInbound.Name, contract.RecordInbound.Role},
		{contract.RecordOutbound.Name, contract.RecordOutbound.Role},
		{contract.Finish.Name, contract.Finish.Role},
		{contract.ParkMessage.Name, contract.ParkMessage.Role},
		{contract.ResolveIdentity.Name, contract.ResolveIdentity.Role},
		{contract.Reserve.Name, contract.Reserve.Role},
		{contract.Settle.Name, contract.Settle.Role},
		{contract.Generate.Name, contract.Generate.Role},
		{contract.Send.Name, contract.Send.Role},
		{contract.LookUp.Name, contract.LookUp.Role},
		{contract.FetchStatus.Name, contract.FetchStatus.Role},
		{contract.CloseEnded.Name, contract.CloseEnded.Role},
		{contract.SeekUnknown.Name, contract.SeekUnknown.Role},
		{contract.FetchPrices.Name, contract.FetchPrices.Role},
		{contract.CloseIdle.Name, contract.CloseIdle.Role},
	}
}

// TestActivityNames holds the names for good: a history names its activities by them.
func TestActivityNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range definitions() {
		if seen[d.Name] {
			t.Errorf("%s stands twice", d.Name)
		}
		seen[d.Name] = true
		if role, _, _ := strings.Cut(d.Name, "."); role != string(d.Role) || !slices.Contains(contract.Roles(), d.Role) {
			t.Errorf("%s runs in the role %s: a name begins with its role", d.Name, d.Role)
		}
	}
}

func TestSearchAttributes(t *testing.T) {
	t.Parallel()
	if got := contract.SearchAttributes(); len(got) > 10 || !slices.Contains(got, "ParleyStage") {
		t.Errorf("SQL visibility has room for 10 Keywords: got %v", got)
	}
}

// TestWireHasTags checks that every field that travels has a name of its own in JSON, so that renaming Go code changes
// no history.
func TestWireHasTags(t *testing.T) {
	t.Parallel()
	for _, value := range []any{
		contract.InboundMessageInput{}, contract.OutboundMessageInput{}, contract.MessageResult{}, contract.Delivery{}, contract.Command{},
		contract.StatusResult{}, contract.ResolveAccountInput{}, contract.ResolveAccountResult{}, contract.NewInbound{}, contract.NewOutbound{},
		contract.Recorded{}, contract.NewFinish{}, contract.Finished{}, contract.NewPark{}, contract.ResolveIdentityInput{},
		contract.ResolveIdentityResult{}, contract.NewReservation{}, contract.ReserveResult{}, contract.SettleInput{}, contract.SettleResult{}, contract.GenerateInput{},
		contract.Draft{}, contract.SendInput{}, contract.SendResult{}, contract.FetchStatusInput{}, contract.FetchStatusResult{},
		contract.UpkeepInput{}, contract.UpkeepResult{},
	} {
		checkTags(t, reflect.TypeOf(value))
	}
}

func checkTags(t *testing.T, s reflect.Type) {
	t.Helper()
	for field := range s.Fields() {
		if tag := field.Tag.Get("json"); tag == "" && !field.Anonymous {
			t.Errorf("%s.%s has no json tag", s, field.Name)
		}
		inner := field.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && strings.HasPrefix(inner.PkgPath(), "parley/") {
			checkTags(t, inner)
		}
	}
}

// TestCommandTypedByHand checks that what an operator types in Temporal's UI is understood.
func TestCommandTypedByHand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]contract.Command{
		`{}`:                              {},
		`{"anyway": true}`:                {Anyway: true},
		`{"park": "run/1", "later": "x"}`: {Park: "run/1"},
	} {
		var got contract.Command
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: want %+v, got %+v, %v", text, want, got, err)
		}
	}
}
