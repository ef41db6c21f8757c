package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/histories"
)

// A member of a consumer group in a process of its own, so that it can be killed, or
// frozen, as any consumer may be: nothing in it gets to say goodbye, and the operating
// system ends its connections. The process is this test's binary, for the member is to
// record what it sees; `reprise consume --group` has nobody to tell.

// memberVariable has this binary be a member; its value is a memberPlan in JSON.
const memberVariable = "REPRISE_TEST_MEMBER"

// memberPlan is what a member is to do.
type memberPlan struct {
	Bootstrap              []string
	Group, Topic, Instance string
	Session                time.Duration
	// Begun is when the history's time began.
	Begun histories.Time
	// Events is the file for its history, Processed that for what it has processed: lines
	// of partition, offset and value.
	Events, Processed string
}

const (
	memberPoll   = 200 // records at a time
	memberCommit = 200 * time.Millisecond
	// memberWork is how long it takes to process what a poll gives.
	memberWork = 2 * time.Millisecond
)

// beMember is a member until the process is told to end, and gives its exit code.
func beMember(text string) int {
	var plan memberPlan
	err := json.Unmarshal([]byte(text), &plan)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = plan.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		return 1
	}
	return 0
}

func (p *memberPlan) run(ctx context.Context) error {
	events, err := os.Create(p.Events)
	if err != nil {
		return err
	}
	defer events.Close()
	processed, err := os.Create(p.Processed)
	if err != nil {
		return err
	}
	defer processed.Close()
	cl, err := client.New(client.Config{Bootstrap: p.Bootstrap, History: client.NewHistory(keepLines(events, p.Begun))})
	if err != nil {
		return err
	}
	defer cl.Close(context.WithoutCancel(ctx))
	var s *client.Subscription
	s, err = cl.Subscribe(ctx, client.SubscribeOptions{
		Group: p.Group, Topics: []string{p.Topic}, Instance: p.Instance, Session: p.Session, MaxPoll: memberPoll,
		Revoked: func(list []core.TopicPartition) {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.Session)
			defer cancel()
			say("commit before giving up", s.Commit(limited))
		},
	})
	if err != nil {
		return err
	}
	work(ctx, s, processed)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*p.Session)
	defer cancel()
	return s.Close(limited)
}

// work polls, processes and commits until ctx ends.
func work(ctx context.Context, s *client.Subscription, processed io.Writer) {
	last := time.Now()
	for {
		records, err := pollFor(ctx, s, memberCommit)
		var lines bytes.Buffer
		for _, r := range records {
			fmt.Fprintf(&lines, "%d %d %d\n", r.Partition, r.Offset, histories.ParsePayload(r.Offset, r.Value).Value)
		}
		time.Sleep(memberWork)
		if _, err := processed.Write(lines.Bytes()); err != nil {
			panic(err) // what was handed out must not count as processed
		}
		if ctx.Err() != nil {
			return
		}
		say("poll", err)
		if time.Since(last) > memberCommit {
			last = time.Now()
			say("commit", s.Commit(ctx))
		}
	}
}

// pollFor polls for a time; that there was nothing is no error.
func pollFor(ctx context.Context, s *client.Subscription, wait time.Duration) ([]client.GroupRecord, error) {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	records, err := s.Poll(limited)
	if limited.Err() != nil {
		err = nil
	}
	return records, err
}

func say(what string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
	}
}

// keepLines writes each event at once: a process that is killed has written all that it saw.
func keepLines(to io.Writer, begun histories.Time) func(histories.Event) {
	w := histories.NewWriter(to)
	return func(e histories.Event) {
		e.Time = machineTime() - begun
		if err := errors.Join(w.Write(e), w.Flush()); err != nil {
			panic(err)
		}
	}
}

// life is one process of a member.
type life struct {
	*process
	plan memberPlan
	// crashed: it was killed.
	crashed bool
}

// beginLife starts a process of a member.
func beginLife(t *testing.T, folder string, number int, plan memberPlan) *life {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(folder, fmt.Sprintf("life%d", number))
	plan.Events, plan.Processed = name+".jsonl", name+".processed"
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), memberVariable+"="+string(text))
	return &life{process: launch(t, name+".log", command), plan: plan}
}

func (l *life) crash() {
	l.crashed = true
	l.kill()
}

// history reads what the life recorded, when it is over.
func (l *life) history() (*histories.History, error) {
	data, err := os.ReadFile(l.plan.Events)
	if errors.Is(err, os.ErrNotExist) {
		return &histories.History{}, nil // killed before it could begin
	}
	if err != nil {
		return nil, err
	}
	return histories.Read(bytes.NewReader(wholeLines(data)))
}

// recordAt is a record by its place.
type recordAt struct {
	partition int
	offset    int64
}

// processed reads what the life processed.
func (l *life) processed() (map[recordAt]histories.Value, error) {
	data, err := os.ReadFile(l.plan.Processed)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	all := map[recordAt]histories.Value{}
	for lines := bufio.NewScanner(bytes.NewReader(wholeLines(data))); lines.Scan(); {
		var at recordAt
		var value histories.Value
		if _, err := fmt.Sscanf(lines.Text(), "%d %d %d", &at.partition, &at.offset, &value); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", l.plan.Processed, lines.Text(), err)
		}
		all[at] = value
	}
	return all, nil
}

// wholeLines cuts off what a killed process had not written to the end.
func wholeLines(data []byte) []byte { return data[:bytes.LastIndexByte(data, '\n')+1] }
