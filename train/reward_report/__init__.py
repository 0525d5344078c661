"""The report on a run's reward model: `esarm reward-report`.

`settings`: how much. `cast`: the animations. `scoring`: everyone's scores and the true errors.
`measuring`: figures, each group in a module of its own. `pictures`, `writing`: PNG and Markdown.
"""
