package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
)

func groupCluster(t *testing.T) (*cluster, *client.Client) {
	c := newCluster(t)
	c.change(func(w *coretest.World) { w.CreateTopic(api.GroupsTopic, 3) })
	return c, c.client(client.Config{})
}

func TestSubscription(t *testing.T) {
	c, cl := groupCluster(t)
	ctx := within(t, 20*time.Second)
	for i := range 5 {
		if _, err := cl.Produce(ctx, "t", 0, client.Record{Value: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	told := map[string]int{}
	options := client.SubscribeOptions{
		Group: "g", Topics: []string{"t"}, MaxPoll: 3,
		Assigned: func(list []core.AssignedPartition) { told["assigned"] += len(list) },
		Revoked:  func(list []core.TopicPartition) { told["revoked"] += len(list) },
	}
	s, err := cl.Subscribe(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	for want := 3; want >= 2; want-- {
		records, err := s.Poll(ctx)
		if err != nil || len(records) != want {
			t.Fatalf("%d records, error %v; want %d", len(records), err, want)
		}
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if records, err := s.Poll(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d records, error %v", len(records), err)
	}
	if err := s.Commit(ctx); err != nil {
		t.Error(err)
	}
	offsets, err := cl.FetchOffsets(ctx, "g")
	if err != nil || len(offsets) == 0 || offsets[0].Offset != 5 {
		t.Errorf("committed %v, error %v", offsets, err)
	}
	if err := cl.DeleteGroup(ctx, "g"); !errors.Is(err, client.ErrGroupNotEmpty) {
		t.Errorf("delete of a group with a member: %v", err)
	}
	if err := s.Close(ctx); err != nil || told["assigned"] != 3 || told["revoked"] != 3 {
		t.Errorf("closed with %v, told %v", err, told)
	}
	if _, err := s.Poll(ctx); err == nil {
		t.Error("polled after the close")
	}
	administer(ctx, t, c, cl)
}

// administer looks at, resets and deletes a group without members.
func administer(ctx context.Context, t *testing.T, c *cluster, cl *client.Client) {
	t.Helper()
	list, err := cl.ListGroups(ctx)
	if err != nil || len(list) != 1 || list[0].Group != "g" {
		t.Errorf("groups %v, error %v", list, err)
	}
	var id uint64
	c.change(func(w *coretest.World) { id = uint64(w.Topic("t").ID) })
	if err := cl.ResetOffsets(ctx, "g", []*api.GroupOffset{{Partition: &api.GroupPartition{TopicId: id}, Offset: 1}}); err != nil {
		t.Error(err)
	}
	if d, err := cl.DescribeGroup(ctx, "g"); err != nil || len(d.Members) != 0 || d.Offsets[0].Offset != 1 {
		t.Errorf("described %v, error %v", d, err)
	}
	if err := cl.DeleteGroup(ctx, "g"); err != nil {
		t.Error(err)
	}
	if _, err := cl.DescribeGroup(ctx, "g"); !errors.Is(err, client.ErrUnknownGroup) {
		t.Errorf("described a group that was deleted: %v", err)
	}
}

func TestSubscribeRefuses(t *testing.T) {
	_, cl := groupCluster(t)
	ctx := within(t, 5*time.Second)
	for _, o := range []client.SubscribeOptions{{Group: "g"}, {Topics: []string{"t"}}, {Group: "g", Pattern: "("}} {
		if _, err := cl.Subscribe(ctx, o); !errors.Is(err, &client.Error{Code: api.Code_INVALID_REQUEST}) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Who asks for a member when the time is over gets none, and none is made.
func TestSubscribeTooLate(t *testing.T) {
	_, cl := groupCluster(t)
	ctx := within(t, 5*time.Second)
	late, cancel := context.WithCancel(ctx)
	cancel()
	for range 20 {
		if _, err := cl.Subscribe(late, client.SubscribeOptions{Group: "g", Topics: []string{"t"}}); !errors.Is(err, client.ErrTimedOut) || !errors.Is(err, context.Canceled) {
			t.Errorf("subscribed with a context that had ended: %v", err)
		}
	}
	// A member that joins now comes after any made before.
	s, err := cl.Subscribe(ctx, client.SubscribeOptions{Group: "g", Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, _ = s.Poll(short)
	if d, err := cl.DescribeGroup(ctx, "g"); err != nil || len(d.Members) != 1 {
		t.Errorf("members %v, error %v; want one", d.GetMembers(), err)
	}
}

// Close does not wait for the last commit when its time is over; the member leaves all the
// same as soon as that has ended, and does not keep its partitions from others.
func TestCloseGivesUp(t *testing.T) {
	c, cl := groupCluster(t)
	ctx := within(t, 10*time.Second)
	left := make(chan struct{})
	var once sync.Once
	c.ignore(func(q *api.Request) bool {
		if q.GetLeaveGroup() != nil {
			once.Do(func() { close(left) })
		}
		return false
	})
	if _, err := cl.Produce(ctx, "t", 0, client.Record{Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	s, err := cl.Subscribe(ctx, client.SubscribeOptions{Group: "g", Topics: []string{"t"}, AutoCommit: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if records, err := s.Poll(ctx); err != nil || len(records) != 1 {
		t.Fatalf("%d records, error %v", len(records), err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Close(over); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("closed with %v", err)
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the member does not leave")
	}
	if offsets, err := cl.FetchOffsets(ctx, "g"); err != nil || len(offsets) == 0 || offsets[0].Offset != 1 {
		t.Errorf("committed %v, error %v", offsets, err)
	}
}

// A commit was sent and not answered when the client was closed: it may have happened.
func TestCommitUnderWayAtClose(t *testing.T) {
	c, cl := groupCluster(t)
	ctx := within(t, 10*time.Second)
	sent := make(chan struct{})
	var once sync.Once
	c.ignore(func(q *api.Request) bool {
		if q.GetCommitOffsets() != nil {
			once.Do(func() { close(sent) })
		}
		return q.GetCommitOffsets() != nil
	})
	if _, err := cl.Produce(ctx, "t", 0, client.Record{Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	s, err := cl.Subscribe(ctx, client.SubscribeOptions{Group: "g", Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.Poll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- s.CommitOffsets(ctx, []core.CommitPosition{{TopicPartition: records[0].TopicPartition, Offset: 1}})
	}()
	<-sent
	if err := cl.Close(ctx); err != nil {
		t.Error(err)
	}
	var e *client.Error
	if err := <-ended; !errors.As(err, &e) || e.Definite || e.Code != api.Code_DISCONNECTED || !errors.Is(err, client.ErrClosed) {
		t.Errorf("commit under way: %v", err)
	}
	if err := s.Commit(ctx); !errors.As(err, &e) || !e.Definite || e.Code != api.Code_SHUTTING_DOWN || !errors.Is(err, client.ErrClosed) {
		t.Errorf("commit after the client was closed: %v", err)
	}
}
