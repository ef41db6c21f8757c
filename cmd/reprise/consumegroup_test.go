package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
)

// scripted is a member of a group to which happens what a test says.
type scripted struct {
	polls    []func() []client.GroupRecord
	closing  func()
	commits  [][]core.CommitPosition
	refusing error
}

// Poll does the next of the polls; after the last the consumer is stopped.
func (s *scripted) Poll(context.Context) ([]client.GroupRecord, error) {
	next := s.polls[0]
	s.polls = s.polls[1:]
	return next(), nil
}

func (s *scripted) CommitOffsets(_ context.Context, list []core.CommitPosition) error {
	s.commits = append(s.commits, list)
	return s.refusing
}

func (s *scripted) Close(context.Context) error {
	s.closing()
	return nil
}

func partition(n int) core.TopicPartition {
	return core.TopicPartition{Topic: "t", Partition: api.Partition(n)}
}

// recordsAt gives a record of each of some partitions, at an offset.
func recordsAt(offset api.Offset, partitions ...int) (list []client.GroupRecord) {
	for _, n := range partitions {
		list = append(list, client.GroupRecord{TopicPartition: partition(n), Record: client.Message{Offset: offset}})
	}
	return list
}

// scriptedConsumer owns partitions 0 and 1. It commits after every poll, and gives up what
// it owns when it closes.
func scriptedConsumer(t *testing.T) (*groupConsumer, *scripted, func()) {
	ctx, stop := context.WithCancel(t.Context())
	m := &scripted{}
	g := &groupConsumer{
		ctx: ctx, member: m, log: &bytes.Buffer{}, owned: map[core.TopicPartition]bool{}, printed: map[core.TopicPartition]api.Offset{},
		printer: &printer{out: bufio.NewWriter(&bytes.Buffer{}), format: "%v"},
	}
	g.assigned([]core.AssignedPartition{{TopicPartition: partition(0)}, {TopicPartition: partition(1)}})
	m.closing = func() {
		var owned []core.TopicPartition
		for p := range g.owned {
			owned = append(owned, p)
		}
		g.revoked(owned)
	}
	return g, m, stop
}

// A partition that is lost before its last records are printed is not committed: all or none
// are, and the others would not be.
func TestGroupConsumerLosesAPartition(t *testing.T) {
	g, m, stop := scriptedConsumer(t)
	m.polls = []func() []client.GroupRecord{
		func() []client.GroupRecord {
			g.lost([]core.TopicPartition{partition(1)})
			return recordsAt(4, 0, 1)
		},
		func() []client.GroupRecord {
			stop()
			return nil
		},
	}
	if err := g.run(time.Second); err != nil {
		t.Error(err)
	}
	want := []core.CommitPosition{{TopicPartition: partition(0), Offset: 5}}
	if len(m.commits) != 1 || !slices.Equal(m.commits[0], want) {
		t.Errorf("committed %v, want %v", m.commits, want)
	}
}

// That the last commit failed is what the command fails for; an earlier one is made good.
func TestGroupConsumerFailsToCommit(t *testing.T) {
	refusal := errors.New("refused")
	for _, last := range []error{nil, refusal} {
		g, m, stop := scriptedConsumer(t)
		m.refusing = refusal
		m.polls = []func() []client.GroupRecord{
			func() []client.GroupRecord { return recordsAt(4, 0) },
			func() []client.GroupRecord {
				stop()
				m.refusing = last
				return nil
			},
		}
		err := g.run(time.Second)
		if !errors.Is(err, last) || last != nil && !strings.Contains(err.Error(), "printed last") {
			t.Errorf("%v, want %v", err, last)
		}
		if len(m.commits) != 2 || len(g.printed) != 0 {
			t.Errorf("committed %v, and %v is left", m.commits, g.printed)
		}
	}
}
