package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const clock = "clock"

// apart is how far clocks may be apart. Nothing depends on less: deadlines are minutes, and `post_before`, of seconds, is
// measured by the database's clock and a worker's stop watch.
const apart = 5 * time.Second

// Clock is a clock other than this machine's.
type Clock struct {
	Name string
	Read func(context.Context) (time.Time, error)
}

// Clocks compares this machine's clock with others. Temporal tells no time, so its clock is not among them.
func Clocks(others ...Clock) Check {
	return Check{Name: clock, Look: func(ctx context.Context) Finding {
		readings := eachAtOnce(others, func(other Clock) reading { return other.compare(ctx) })
		var f Finding
		var read []string
		for _, r := range readings {
			if r.err != nil {
				continue // its own check says why
			}
			read = append(read, fmt.Sprintf("%s %+.1f s", r.name, r.ahead.Seconds()))
			if r.ahead.Abs()-r.doubt > apart {
				f.warn("let NTP set the clocks: of the time of a message and its deadline each machine has its own idea",
					"the clock of %s is %s", r.name, aheadOrBehind(r.ahead))
			}
		}
		f.Found = "beside this machine's: " + strings.Join(read, ", ")
		if len(read) == 0 {
			f.Found = ""
			f.warn("mend what is said of the other parts first", "no other clock could be read")
		}
		return f
	}}
}

// reading is what a clock showed: how far it is ahead of ours, give or take a doubt.
type reading struct {
	name         string
	ahead, doubt time.Duration
	err          error
}

func (c Clock) compare(ctx context.Context) reading {
	asked := time.Now()
	theirs, err := c.Read(ctx)
	took := time.Since(asked)
	return reading{c.Name, theirs.Sub(asked.Add(took / 2)), took/2 + time.Second/2, err}
}

func aheadOrBehind(d time.Duration) string {
	if d < 0 {
		return fmt.Sprintf("%s behind this machine's", -d.Round(time.Second))
	}
	return fmt.Sprintf("%s ahead of this machine's", d.Round(time.Second))
}
