package embed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/embed"
)

// as is a client that says who it is.
func as(t *testing.T, bootstrap []string, user, password string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Bootstrap: bootstrap, User: user, Password: password, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func mayWrite(topic string) *api.Acl {
	return &api.Acl{Principal: "User:app", Operation: api.Acl_WRITE, Resource: api.Acl_TOPIC, Name: topic,
		Pattern: api.Acl_LITERAL, Permission: api.Acl_ALLOW}
}

// What is allowed goes on when nodes die. A node that is cut off goes by what it knew, and
// denies nothing for good, for it cannot tell what is allowed by now.
func TestPermissionsUnderFaults(t *testing.T) {
	c := embed.Run(t, embed.Config{SuperUser: "admin", Password: "secret"})
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	admin := as(t, c.Bootstrap(), "admin", "secret")
	must(admin.CreateTopic(ctx, "t", client.TopicOptions{Partitions: 1}))
	must(admin.CreateUser(ctx, "app", "word"))
	must(admin.CreateAcls(ctx, mayWrite("t")))
	app := as(t, c.Bootstrap(), "app", "word")
	write := func() error {
		_, err := app.Produce(ctx, "t", 0, client.Record{Value: []byte("x")})
		return err
	}
	must(write())
	leader, err := c.Leader(ctx, "t", 0)
	must(err)
	leader.Kill()
	must(write())
	must(admin.CreateAcls(ctx, mayWrite("u")))
	must(leader.Start())
	must(write())

	c.Cut(leader)
	cutOff := as(t, []string{leader.Address()}, "app", "word")
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err = cutOff.DeleteTopic(short, "t")
	var e *client.Error
	if !errors.As(err, &e) || !e.Code.Retriable() {
		t.Errorf("a node that is cut off denies for good: %v", err)
	}
	deleted, err := admin.DeleteAcls(ctx, &api.Acl{Principal: "User:app"})
	if err != nil || len(deleted) != 2 {
		t.Errorf("%d ACLs are removed: %v", len(deleted), err)
	}
	c.Heal()
	for begun := time.Now(); !errors.Is(err, client.ErrTopicAuthorization); err = write() {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("what was revoked is allowed still: %v", err)
		}
	}
}
