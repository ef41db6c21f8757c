package rpc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/xdg-go/scram"
)

// Mechanism is how users and nodes prove that they know a password (RFC 5802, RFC 7677):
// neither the password nor anything that would do in its place crosses the link, and
// the node proves that it knows the user too.
const Mechanism = "SCRAM-SHA-256"

// maxSasl bounds what one message of an authentication says, in bytes.
const maxSasl = 1 << 10

// Login gives a user and the password, whenever a link is opened.
type Login func() (user, password string, err error)

// Password is the Login of a user whose password stays.
func Password(user, password string) Login {
	return func() (string, string, error) { return user, password, nil }
}

// NewUser makes the request that makes a user, or with Create unset gives one another
// password. The password goes no further.
func NewUser(name, password string) (*api.PutUserRequest, error) {
	if err := access.CheckUserName(name); err != nil {
		return nil, err
	}
	random := make([]byte, access.SaltBytes+access.KeyBytes)
	_, _ = rand.Read(random) // never fails
	salt, decoy := random[:access.SaltBytes], random[access.SaltBytes:]
	c, err := derive(name, password, string(salt))
	if err != nil {
		return nil, err
	}
	return &api.PutUserRequest{Name: name, Create: true, Decoy: decoy, Credential: &api.ScramCredential{
		Salt: salt, Iterations: int32(c.Iterations), StoredKey: []byte(c.StoredKey), ServerKey: []byte(c.ServerKey),
	}}, nil
}

// derive gives what a node keeps of a password.
func derive(name, password, salt string) (access.Credential, error) {
	client, err := scramClient(name, password)
	if err != nil {
		return access.Credential{}, err
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: salt, Iters: access.MinIterations})
	if err != nil {
		return access.Credential{}, fmt.Errorf("derive keys of a password: %w", err)
	}
	return access.Credential{Salt: salt, Iterations: c.Iters, StoredKey: string(c.StoredKey), ServerKey: string(c.ServerKey)}, nil
}

func scramClient(name, password string) (*scram.Client, error) {
	if password == "" {
		return nil, errors.New("the password is empty; give one of at least one character")
	}
	client, err := scram.SHA256.NewClient(name, password, "")
	if err != nil {
		return nil, fmt.Errorf("user %+q: the name or the password has characters that none may have: %w", name, err)
	}
	return client, nil
}

// refusalError is a refusal by the other side, in its words.
type refusalError struct{ cause *api.Error }

func (e refusalError) Error() string { return e.cause.Error() }

// prove says who this process is, and has the other side prove that it knows the password
// too. A refusalError is the other side's verdict; any other error is a reason not to talk to it.
func prove(user, password string, send func(*Sasl) error, receive func() (*Sasl, error)) error {
	client, err := scramClient(user, password)
	if err != nil {
		return err
	}
	mine := client.WithMinIterations(access.MinIterations).NewConversation()
	said := ""
	for first := true; ; first = false {
		say, err := mine.Step(said)
		if err != nil {
			return fmt.Errorf("the node does not prove that it knows the password of user %+q: %w", user, err)
		}
		if mine.Done() {
			return nil
		}
		m := &Sasl{Data: []byte(say)}
		if first {
			m.Mechanism = Mechanism
		}
		if err := send(m); err != nil {
			return err
		}
		answer, err := receive()
		switch {
		case err != nil:
			return err
		case answer.GetError() != nil:
			return refusalError{answer.Error}
		case len(answer.GetData()) > maxSasl || tooSlow(string(answer.GetData())):
			return errors.New("the node asks for a proof that no node of this version asks for")
		}
		said = string(answer.GetData())
	}
}

// tooSlow reports whether a challenge would keep this process hashing for long.
func tooSlow(challenge string) bool {
	for _, attribute := range strings.Split(challenge, ",") {
		if text, ok := strings.CutPrefix(attribute, "i="); ok {
			n, err := strconv.Atoi(text)
			return err != nil || n > access.MaxIterations
		}
	}
	return false
}

// conversation is an authentication as the side sees it that is asked to believe.
type conversation struct {
	scram *scram.ServerConversation
	// user is who it claims to be; known is false for a decoy.
	user  access.User
	known bool
}

// converse begins one. lookup gives a credential in any case: that there is no such user
// does not show.
func converse(lookup func(name string) (c access.Credential, known bool)) *conversation {
	c := &conversation{}
	server, err := scram.SHA256.NewServer(func(name string) (scram.StoredCredentials, error) {
		c.user.Name = name
		c.user.Credential, c.known = lookup(name)
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: c.user.Salt, Iters: c.user.Iterations},
			StoredKey:  []byte(c.user.StoredKey), ServerKey: []byte(c.user.ServerKey),
		}, nil
	})
	if err != nil {
		panic("rpc: " + err.Error()) // the library has no case of it
	}
	c.scram = server.NewConversation()
	return c
}

// errProof says no more than that: what was wrong with a proof is nobody's business.
var errProof = errors.New("the proof is wrong")

// step takes what the other side says. It is proven once proven says so.
func (c *conversation) step(m *Sasl, first bool) ([]byte, error) {
	if len(m.Data) > maxSasl || first && m.Mechanism != Mechanism {
		return nil, errProof
	}
	reply, err := c.scram.Step(string(m.Data))
	if err != nil || c.scram.AuthzID() != "" && c.scram.AuthzID() != c.user.Name {
		return nil, errProof
	}
	return []byte(reply), nil
}

// proven reports whether the other side knows the password of a user that there is.
func (c *conversation) proven() bool { return c.scram.Valid() && c.known }
