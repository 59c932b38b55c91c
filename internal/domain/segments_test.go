package domain_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/quick"

	"parley/internal/domain"
)

// TestSegmentVectors compares with the counts of Twilio's own calculator.
func TestSegmentVectors(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/segment_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Body     string
			Encoding domain.Encoding
			Segments int
			Why      string
		}
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for i, v := range file.Vectors {
		if encoding, segments := domain.Segments(v.Body); encoding != v.Encoding || segments != v.Segments {
			t.Errorf("vector %d (%s): want %s, %d; got %s, %d", i, v.Why, v.Encoding, v.Segments, encoding, segments)
		}
	}
}

func TestSegments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		encoding   domain.Encoding
		segments   int
	}{
		{"an empty body is billed", "", domain.EncodingGSM7, 1},
		{"an escape pair does not straddle", strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), domain.EncodingGSM7, 3},
		{"nor does a surrogate pair", strings.Repeat("日", 66) + "😀" + strings.Repeat("日", 66), domain.EncodingUCS2, 3},
		{"one foreign character turns all", strings.Repeat("a", 70) + "ş", domain.EncodingUCS2, 2},
	} {
		if encoding, segments := domain.Segments(c.body); encoding != c.encoding || segments != c.segments {
			t.Errorf("%s: want %s, %d; got %s, %d", c.name, c.encoding, c.segments, encoding, segments)
		}
	}
}

// TestSegmentsOnlyGrow checks that a longer text of the same alphabet is never cheaper.
func TestSegmentsOnlyGrow(t *testing.T) {
	t.Parallel()
	grow := func(a, b string) bool {
		_, whole := domain.Segments("日" + a + b)
		_, part := domain.Segments("日" + a)
		return whole >= part && part >= 1
	}
	if err := quick.Check(grow, nil); err != nil {
		t.Error(err)
	}
}
