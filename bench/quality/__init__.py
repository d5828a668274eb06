"""How much of a recording survives: analysis and synthesis alone, and with a trained model between.

    python -m bench.quality --help        or        make bench-quality, make bench-models

    metrics, pitch       how far one sound is from another
    recordings           the sounds, at their own level
    schemes, linear, public_scheme, magnitude_only      ways to a spectrogram and back
    measure, round_trip, models                         what is measured on what
    division             which recordings models are trained on, and which are held out
    peers, public_vae, rave_v2          other models, trained for as long on the same recordings
    results, aims, page, pictures       the figures kept, and docs/quality.md made of them
"""
