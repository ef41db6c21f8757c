// Package porcupine stands for the library.
package porcupine
