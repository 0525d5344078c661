"""`esarm studio`: a local page on which animations are made, compared and watched in training.

- `server`: the loopback address, the port, the token that is printed with them, and the end.
- `app`: the web application: its pages, its files, and what an error becomes.
- `guard`: who may ask: host, origin and token; what a browser may do with the answers.
- `studio`: what all pages share: the run, the folder, sounds, heads, policies and jobs.
- `access`: which files may be read, the run's and those of the chosen folder.
- `asking`: what a request asks for, field by field, checked.
- `sounds`: speech that was dropped, recorded or chosen, limited in bytes and seconds.
- `policies`: policies of the run and of the package, each loaded once.
- `jobs`: work that takes seconds, one piece after the other in a thread; a job can be cancelled.
- `takes`: what a job made: motion with its sound, as the page reads it, in pictures and as files.
- `heads`: heads as three.js draws them, and pictures where a browser cannot.
- `judging`: what raters judge, and how far they agree.
- `packing`: arrays as one body of bytes with a header.
- `pages`: a module for each page: Animate, Compare, Judge, Watch.

`web/` holds the page itself: HTML, CSS and JavaScript modules; `web/vendor/` has three.js.
"""
