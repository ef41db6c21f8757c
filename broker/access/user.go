package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
)

// Bounds of users; those of iterations are Kafka's.
const (
	MaxUserBytes  = 64
	MinIterations = 4096
	MaxIterations = 16384
	// KeyBytes is the length of a key of SCRAM-SHA-256, and of a decoy.
	KeyBytes = sha256.Size
	// SaltBytes is the length of a salt that is drawn here.
	SaltBytes    = 16
	minSaltBytes = 8
	maxSaltBytes = 64
)

// User is somebody with a password.
type User struct {
	Name string
	Credential
}

// Credential is what is kept of a password, as in RFC 5802: StoredKey checks a proof of
// it, and ServerKey proves that the node knows it.
type Credential struct {
	Salt                 string
	Iterations           int
	StoredKey, ServerKey string
}

// Principal is the user's.
func (u User) Principal() string { return UserPrefix + u.Name }

// Check says what is wrong with a user.
func (u User) Check() *api.Error {
	switch {
	case CheckUserName(u.Name) != nil:
		return CheckUserName(u.Name)
	case u.Iterations < MinIterations || u.Iterations > MaxIterations:
		return api.Errorf(api.Code_INVALID_REQUEST, "a password is hashed %d to %d times, not %d", MinIterations, MaxIterations, u.Iterations)
	case len(u.Salt) < minSaltBytes || len(u.Salt) > maxSaltBytes || len(u.StoredKey) != KeyBytes || len(u.ServerKey) != KeyBytes:
		return api.Errorf(api.Code_INVALID_REQUEST, "a credential has a salt of %d to %d bytes and two keys of %d, not %d, %d and %d",
			minSaltBytes, maxSaltBytes, KeyBytes, len(u.Salt), len(u.StoredKey), len(u.ServerKey))
	}
	return nil
}

// CheckUserName says what is wrong with the name of a user. The characters are few, so
// that a name is one thing however it is written (RFC 4013).
func CheckUserName(name string) *api.Error {
	const others = "._-@"
	ok := len(name) >= 1 && len(name) <= MaxUserBytes
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0
	}
	if !ok {
		return api.Errorf(api.Code_INVALID_REQUEST,
			"%+q cannot name a user; use 1 to %d of the characters a-z A-Z 0-9 . _ - @", clip(name), MaxUserBytes)
	}
	return nil
}

// Decoy is a credential that no password has, for a user that is not there: the same for
// every question, on every node, so that it cannot be told from one that is.
func Decoy(secret, name string) Credential {
	of := func(what string) string {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(what + "/" + name))
		return string(h.Sum(nil))
	}
	return Credential{Salt: of("salt")[:SaltBytes], Iterations: MinIterations, StoredKey: of("stored"), ServerKey: of("server")}
}

// View is what a node knows of users and ACLs at one moment. Nobody changes what it holds.
type View struct {
	// Version counts the changes; views of one cluster with the same version are equal.
	Version uint64
	// Users ascend by name, and Rules in their order.
	Users []User
	Rules []Rule
	// Decoy makes up the credentials of users that are not there.
	Decoy string
}
