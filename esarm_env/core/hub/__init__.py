"""Sharing by the Hugging Face Hub: what a repository holds, how it is fetched, how it is pushed.

- `address`: `hf://user/name@revision`, as text and as it stands in a `Path`.
- `cards`: what every model card says, and the card of a part that has no run.
- `courier`: how what is shared gets into folders, to the Hub and back.
- `faults`: what the Hub refuses, and what the network does, in one line each.
- `folders`: an address as a local folder; the resolver for everything that opens.
- `manifest`: `export.json`, which tells what a folder holds, and the digests of its files.
- `shareable`: `save_pretrained`, `from_pretrained` and `push_to_hub`, the base class.

`huggingface_hub` (extra `hub`) is imported when something is fetched or pushed, and not before.
"""
