package twiliosim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/simulator/twiliosim"
)

func TestMediaIsASubResource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sid := r.deliver(twiliosim.Inbound{From: customer, To: company, Media: []domain.Media{
		{URL: "https://a.example/1", ContentType: "image/png"}, {URL: "https://a.example/2"},
	}})
	_, _, got := r.api(http.MethodGet, messagesPath("/"+sid+".json"), nil)
	if got["num_media"] != "2" || got["subresource_uris"].(map[string]any)["media"] != messagesPath("/"+sid+"/Media.json") {
		t.Errorf("%v", got)
	}
	status, _, page := r.api(http.MethodGet, messagesPath("/"+sid+"/Media.json"), nil)
	list, _ := page["media_list"].([]any)
	if status != http.StatusOK || len(list) != 2 || page["end"] != 1.0 || page["next_page_uri"] != nil {
		t.Fatalf("%d %v", status, page)
	}
	for i, wanted := range []struct {
		contentType any
		url         string
	}{{"image/png", "https://a.example/1"}, {nil, "https://a.example/2"}} {
		file := list[i].(map[string]any)
		if file["content_type"] != wanted.contentType || file["parent_sid"] != sid || !strings.HasPrefix(file["sid"].(string), "ME") {
			t.Errorf("%v", file)
		}
		uri := file["uri"].(string)
		if _, _, one := r.api(http.MethodGet, uri, nil); one["sid"] != file["sid"] {
			t.Errorf("%s: %v", uri, one)
		}
		content := r.request(http.MethodGet, strings.TrimSuffix(uri, ".json"), nil)
		content.SetBasicAuth(accountSid, token)
		response, err := http.DefaultTransport.RoundTrip(content) // which follows nothing
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusTemporaryRedirect || response.Header.Get("Location") != wanted.url {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
	}
}

func TestNoMedia(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sid := r.send(nil)
	status, _, page := r.api(http.MethodGet, messagesPath("/"+sid+"/Media.json"), url.Values{})
	if list, isList := page["media_list"].([]any); status != http.StatusOK || !isList || len(list) != 0 {
		t.Errorf("%d %v", status, page)
	}
	unknown := "/SM" + strings.Repeat("0", 32)
	for _, path := range []string{unknown + "/Media.json", unknown + "/Media/ME1.json", "/" + sid + "/Media/ME" + strings.Repeat("0", 32) + ".json"} {
		if status, _, got := r.api(http.MethodGet, messagesPath(path), nil); status != http.StatusNotFound || got["code"] != 20404.0 {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
}

// deliver lets a person write, and returns the message's sid.
func (r *rig) deliver(in twiliosim.Inbound) string {
	r.Helper()
	var answered twiliosim.InboundAnswer
	r.control(http.MethodPost, "/simulate/inbound", in, &answered)
	return answered.MessageSid
}
