package twiliosim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// media is a file of a message as Twilio's API writes it.
type media struct {
	AccountSid  string  `json:"account_sid"`
	ContentType *string `json:"content_type"` // null where the simulator does not know: it fetches nothing
	DateCreated string  `json:"date_created"`
	DateUpdated string  `json:"date_updated"`
	ParentSid   string  `json:"parent_sid"`
	Sid         string  `json:"sid"`
	URI         string  `json:"uri"`

	url string // of the content
}

// mediaPage is a list of media as Twilio's API writes it. A message has at most 10 files, so there is one page.
type mediaPage struct {
	End             int     `json:"end"`
	FirstPageURI    string  `json:"first_page_uri"`
	MediaList       []media `json:"media_list"`
	NextPageURI     *string `json:"next_page_uri"`
	Page            int     `json:"page"`
	PageSize        int     `json:"page_size"`
	PreviousPageURI *string `json:"previous_page_uri"`
	Start           int     `json:"start"`
	URI             string  `json:"uri"`
}

// media returns the files of a message.
func (a *account) media(m Message) []media {
	list := make([]media, 0, len(m.Media))
	for i, file := range m.Media {
		sid := mediaSid(m.Sid, i)
		written := media{
			AccountSid: a.sid, DateCreated: rfc2822(m.CreatedAt), DateUpdated: rfc2822(m.CreatedAt), ParentSid: m.Sid, Sid: sid,
			URI: fmt.Sprintf("%s/%s/Media/%s.json", a.messagesPath(), m.Sid, sid), url: file.URL,
		}
		if file.ContentType != "" {
			written.ContentType = &file.ContentType
		}
		list = append(list, written)
	}
	return list
}

// mediaSid names the i-th file of a message. It is always the same.
func mediaSid(messageSid string, i int) string {
	sum := sha256.Sum256([]byte(messageSid + "/" + strconv.Itoa(i)))
	return "ME" + hex.EncodeToString(sum[:16])
}

func (s *Simulator) listMedia(w http.ResponseWriter, r *http.Request) {
	m, known := s.account.message(r.PathValue("Sid"))
	if !known {
		s.notFound(w, r)
		return
	}
	s.slow(r, m.To)
	list := s.account.media(m)
	uri := fmt.Sprintf("%s/%s/Media.json?PageSize=%d&Page=0", s.account.messagesPath(), m.Sid, defaultPageSize)
	writeJSON(w, http.StatusOK, mediaPage{
		End: max(len(list)-1, 0), FirstPageURI: uri, MediaList: list, PageSize: defaultPageSize, URI: uri,
	})
}

// fetchMedia answers what the API says of a file, or, without .json, redirects to its content as Twilio does.
func (s *Simulator) fetchMedia(w http.ResponseWriter, r *http.Request) {
	sid, isJSON := strings.CutSuffix(r.PathValue("File"), ".json")
	m, _ := s.account.message(r.PathValue("Sid")) // an unknown one has no files
	list := s.account.media(m)
	i := slices.IndexFunc(list, func(file media) bool { return file.Sid == sid })
	if i < 0 {
		s.notFound(w, r)
		return
	}
	s.slow(r, m.To)
	if !isJSON {
		http.Redirect(w, r, list[i].url, http.StatusTemporaryRedirect)
		return
	}
	writeJSON(w, http.StatusOK, list[i])
}
