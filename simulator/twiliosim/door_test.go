package twiliosim_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/testkit"
	"parley/internal/twilio"
	"parley/simulator/twiliosim"
)

// door puts the door into a state and returns its address.
func (r *rig) door(state twiliosim.DoorState) string {
	r.Helper()
	wanted := map[string]string{"state": string(state)}
	if r.doorway == "" { // said once, and kept; a port that the system chose could be somebody else's while the door is closed
		r.doorway = testkit.Port(r.T)
		wanted["address"] = r.doorway
	}
	var answered struct{ Address, Error string }
	if status := r.control(http.MethodPut, "/simulate/door", wanted, &answered); status != http.StatusOK {
		r.Fatalf("door: %d %s", status, answered.Error)
	}
	return answered.Address
}

func TestDoor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	address := r.door(twiliosim.DoorClosed)
	client := twilio.NewClient("http://" + address)
	for _, step := range []struct {
		state twiliosim.DoorState
		want  domain.AttemptState
	}{
		{twiliosim.DoorClosed, domain.AttemptNotSent},
		{twiliosim.DoorOpen, domain.AttemptAccepted},
		{twiliosim.DoorOpen, domain.AttemptAccepted},
		{twiliosim.DoorClosed, domain.AttemptNotSent}, // the connection that was used is gone, too
		{twiliosim.DoorOpen, domain.AttemptAccepted},
	} {
		if moved := r.door(step.state); moved != address {
			t.Errorf("the door moved from %s to %s", address, moved)
		}
		if got := r.create(client); got.State != step.want {
			t.Errorf("%s: %+v", step.state, got)
		}
	}
	if counted := r.requests(); counted.Creates != 3 || counted.Accepted != 3 {
		t.Errorf("%+v", counted)
	}
	if response, _ := (&rig{T: t, url: "http://" + address}).do(r.requestTo("http://"+address, "/simulate/messages")); response.StatusCode == http.StatusOK {
		t.Error("the control API is behind the door")
	}
}

// A handshake that stalls is a connection that never was.
func TestStalledDoor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	client := twilio.NewClient("https://" + r.door(twiliosim.DoorStalled))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got := client.Create(ctx, login(), twilio.NewMessage{From: company, To: customer, Body: "hi"})
	if got.State != domain.AttemptNotSent || r.requests().Creates != 0 {
		t.Errorf("%+v", got)
	}
}

func TestDoorEndsWithTheSimulator(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	client := twilio.NewClient("http://" + r.door(twiliosim.DoorOpen))
	r.create(client)
	r.stop()
	for deadline := time.Now().Add(patience); r.create(client).State != domain.AttemptNotSent; {
		if time.Now().After(deadline) {
			t.Fatal("the door is still open")
		}
	}
}

func TestDoorRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, state := range []string{"", "ajar"} {
		if status := r.control(http.MethodPut, "/simulate/door", map[string]string{"state": state}, nil); status != http.StatusBadRequest {
			t.Errorf("%q: %d", state, status)
		}
	}
	for _, address := range []string{":0", "0.0.0.0:0"} { // the network's
		if status := r.control(http.MethodPut, "/simulate/door", map[string]string{"state": "open", "address": address}, nil); status == http.StatusOK {
			t.Errorf("the door is at %s", address)
		}
	}
}

func (r *rig) requestTo(base, path string) *http.Request {
	r.Helper()
	return (&rig{T: r.T, url: base}).request(http.MethodGet, path, nil)
}
